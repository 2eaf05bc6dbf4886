"""Everything that may happen to jobs, by the coordinator's real code: what the tests of the ledger do in any order."""

from uuid import UUID, uuid4

from flask import Flask

from coordinator import pulses
from coordinator.parts import parts
from coordinator.recorder import Came, record_messages
from coordinator.senders import Senders
from coordinator.sweeper import Sweeper
from tests.integration.database import change, rows
from tests.jobs import URL, Client, body
from tests.played_node import PlayedNode, event
from wire.facts import Artifact

SWEEPS = ("end_silent_attempts", "finish_without_late_facts", "purge_deleted", "delete_dropped")
FILES = ("model", "damaged model", "missing model", "checkpoint")
NOT_THE_FILES = "ab" * 32
Answer = tuple[int, str]
"""HTTP status, and the word that matters: the run_id, a heartbeat's answer, or an error's code."""


class World:
    """One user and two nodes over an app. Each thread takes a world of its own."""

    def __init__(self, app: Flask, owner: dict[str, str], nodes: list[dict[str, str]]) -> None:
        self._app, self._owner = app, owner
        self._client: Client = app.test_client()
        self._nodes = [PlayedNode(app, headers) for headers in nodes]

    def submit(self, key: str | None = None, steps: int = 50_000) -> Answer:
        headers = self._owner | ({"Idempotency-Key": key} if key else {})
        answer = self._client.post(URL, json=body(nn_model_config__steps=steps), headers=headers)
        return answer.status_code, answer.json.get("run_id") or answer.json["code"]

    def resume(self, run_id: str) -> int:
        return int(self._client.post(URL, json=body(run_id=run_id), headers=self._owner).status_code)

    def cancel(self, run_id: str) -> int:
        return int(self._client.post(f"{URL}/{run_id}/cancel", headers=self._owner).status_code)

    def delete(self, run_id: str) -> int:
        return int(self._client.delete(f"{URL}/{run_id}", headers=self._owner).status_code)

    def claim(self, node: int, run_id: str, attempt: int, claim: UUID) -> int:
        return int(self._nodes[node].claim(run_id, attempt, claim).status_code)

    def heartbeat(self, node: int, run_id: str, attempt: int) -> str:
        return str(self._nodes[node].heartbeat(run_id, attempt).json["answer"])

    def say(self, run_id: str, attempt: int, first: int, facts: list[dict[str, object]]) -> None:
        self._nodes[0].say(run_id, *facts, attempt=attempt, first=first)

    def checkpoint(self, node: int, run_id: str, attempt: int, step: int) -> bool:
        """Stored while the training goes on, where the attempt is this node's."""
        try:
            return bool(self._nodes[node].checkpoint(run_id, step, attempt))
        except KeyError:  # there was no link in the answer
            return False

    def upload(self, node: int, run_id: str, attempt: int, what: str) -> Artifact:
        """A file as the node will describe it in its outcome, which is not always what lies in staging."""
        kind = what.rpartition(" ")[2]
        described = Artifact(kind, NOT_THE_FILES, 10)
        if what.startswith("missing"):
            return described
        try:
            real = self._nodes[node].upload(run_id, kind, f"{what} of {attempt}".encode(), attempt)
        except KeyError:
            return described
        return described if what.startswith("damaged") else real

    def hand_in(self, run_id: str, attempt: int, files: list[Artifact], **said: object) -> None:
        self._nodes[0].hand_in(run_id, *files, attempt=attempt, **said)

    def finish(self, run_id: str, attempt: int) -> None:
        self._nodes[0].finish(run_id, attempt)

    def lose(self, run_id: str, attempt: int) -> None:
        self._nodes[0].lose(run_id, attempt)

    def say_of_all(self, run_ids: list[str], attempts: list[int], first: int, facts: list[dict[str, object]]) -> None:
        """Facts of several jobs in one batch, as the recorder takes them."""
        numbered = zip(run_ids, attempts, strict=True)
        with self._app.app_context():
            record_messages([
                Came(event(run_id, *facts, attempt=attempt, first=first)) for run_id, attempt in numbered
            ], Senders())  # fmt: skip

    def sweep(self, name: str) -> None:
        with self._app.app_context():
            for service in ("web", "recorder"):
                pulses.beat(service)
            change(self._app, "UPDATE pulses SET alive_since = now() - interval '2 hours'")
            getattr(Sweeper(self._app, None, parts(self._app).storage, 25, 1), name)()  # type: ignore[arg-type]

    def pass_time(self, run_id: str, attempt: int) -> None:
        """An hour in which no heartbeat and no fact has come."""
        hour = "interval '1 hour'"
        moments = f"lease_until = lease_until - {hour}, outcome_at = outcome_at - {hour}"
        its = {"run_id": run_id, "number": attempt}
        change(self._app, f"UPDATE attempts SET {moments} WHERE run_id = :run_id AND number = :number", **its)  # noqa: S608

    def gets_work(self, node: int) -> bool:
        name = ("node", "other-node")[node]
        return rows(self._app, "SELECT quarantine IS NULL FROM nodes WHERE name = :name", name=name) == [True]

    def clear(self) -> None:
        """No job was ever submitted."""
        for table in ("jobs", "outbox", "rejected_messages", "idempotency_keys"):
            change(self._app, f"DELETE FROM {table}")  # noqa: S608
        change(self._app, "UPDATE nodes SET quarantine = NULL")


def new_claim() -> UUID:
    return uuid4()
