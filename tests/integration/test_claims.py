"""One attempt, one node: claims race, repeat and come too late; leases go to their holder only."""

import threading
from uuid import uuid4

from flask import Flask
from sqlalchemy import text

from coordinator.extensions import db
from services.platform import wait_until
from tests.conftest import Template
from tests.integration.database import job, outbox, rows, seqs
from tests.jobs import URL, Client, bearer
from tests.played_node import PlayedNode
from wire.names import TASK_TRAIN

Headers = dict[str, str]
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_of_many_claims_at_once_one_wins(app: Flask, run_id: str, template: Template) -> None:
    together, answers = threading.Barrier(8), list[int]()

    def claim(token: str) -> None:
        node = PlayedNode(app, bearer(token))
        together.wait(10)
        answers.append(node.claim(run_id).status_code)

    threads = [threading.Thread(target=claim, args=(token,)) for token in [template.node, template.other_node] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == [200] + [409] * 7
    assert (job(app, run_id)[:2], seqs(app, run_id), outbox(app)) == (("RETRIEVED", 1), [1, 2], [])


def test_the_same_claim_again_gets_the_same_answer(app: Flask, run_id: str, played: PlayedNode) -> None:
    claim = uuid4()
    first, second = played.claim(run_id, claim=claim), played.claim(run_id, claim=claim)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json == second.json
    assert seqs(app, run_id) == [1, 2]


def test_a_copy_of_the_message_is_told_that_the_attempt_is_taken(run_id: str, played: PlayedNode) -> None:
    played.claim(run_id)
    answer = played.claim(run_id)
    assert answer.status_code == 409
    assert answer.json["detail"] == f"Attempt 1 of run {run_id} is taken or has ended."


def test_another_node_cannot_use_somebodys_claim(
    app: Flask, run_id: str, played: PlayedNode, template: Template
) -> None:
    claim = uuid4()
    played.claim(run_id, claim=claim)
    other = PlayedNode(app, bearer(template.other_node))
    assert other.claim(run_id, claim=claim).status_code == 409
    assert other.heartbeat(run_id).json == {"answer": "not yours"}
    assert other.post(f"/attempts/{run_id}/1/uploads", {"name": "model.onnx"}).status_code == 409


def test_only_the_current_attempt_can_be_claimed(app: Flask, run_id: str, played: PlayedNode) -> None:
    assert [played.claim(run_id, attempt).status_code for attempt in (2, 1)] == [409, 200]
    played.lose(run_id)
    assert [played.claim(run_id, attempt).status_code for attempt in (1, 2)] == [409, 200]


def test_a_claim_after_the_end_is_refused(run_id: str, played: PlayedNode) -> None:
    claim = uuid4()
    played.claim(run_id, claim=claim)
    played.hand_in(run_id, status="failed")
    played.finish(run_id)
    assert played.claim(run_id, claim=claim).status_code == 409


def test_an_unknown_run_cannot_be_claimed(played: PlayedNode) -> None:
    assert played.claim(str(uuid4())).status_code == 409


def test_a_cancelled_run_cannot_be_claimed(client: Client, owner: Headers, run_id: str, played: PlayedNode) -> None:
    client.post(f"{URL}/{run_id}/cancel", headers=owner)
    assert played.claim(run_id).status_code == 409


def test_a_cancel_and_a_claim_at_once_leave_no_training_behind(
    app: Flask, client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    """Whoever comes first: either the claim is refused, or the node hears of the cancel with its heartbeat."""
    together, claimed = threading.Barrier(2), list[int]()

    def claim() -> None:
        together.wait(10)
        claimed.append(played.claim(run_id).status_code)

    thread = threading.Thread(target=claim)
    thread.start()
    together.wait(10)
    client.post(f"{URL}/{run_id}/cancel", headers=owner)
    thread.join(10)
    if claimed == [200]:
        assert played.heartbeat(run_id).json == {"answer": "cancel"}
    else:
        assert (claimed, job(app, run_id)[0], outbox(app)) == ([409], "CANCELLED", [])


def test_a_claim_while_its_node_is_being_revoked_waits_for_that_and_is_refused(
    app: Flask, run_id: str, played: PlayedNode
) -> None:
    claimed = list[int]()
    thread = threading.Thread(target=lambda: claimed.append(played.claim(run_id).status_code))
    with app.app_context(), db.engine.connect() as revoking:
        revoking.execute(text("SELECT id FROM nodes WHERE name = 'node' FOR UPDATE"))
        revoking.execute(text("UPDATE nodes SET revoked_at = now() WHERE name = 'node'"))
        thread.start()
        wait_until(lambda: rows(app, WAITING) == [1], 10, "the claim to wait")
        revoking.commit()
    thread.join(10)
    assert (claimed, job(app, run_id)[0]) == ([409], "SUBMITTED")


def test_the_task_stays_in_the_outbox_until_a_node_has_claimed_it(app: Flask, run_id: str, played: PlayedNode) -> None:
    assert outbox(app) == [(TASK_TRAIN, 1)]
    played.claim(run_id)
    assert outbox(app) == []


def test_a_heartbeat_moves_the_lease_on(app: Flask, run_id: str, played: PlayedNode) -> None:
    def lease() -> object:
        return rows(app, "SELECT lease_until FROM attempts")[0]

    played.claim(run_id)
    before = lease()
    assert played.heartbeat(run_id).json == {"answer": "go on"}
    assert str(lease()) > str(before)


def test_a_claim_is_answered_with_all_that_a_training_needs(run_id: str, played: PlayedNode) -> None:
    answer = played.claim(run_id).json
    spec = answer["spec"]
    assert answer["lease_seconds"] == 20.0
    assert type(spec["seed"]) is int
    wanted = {
        "run_id": run_id, "attempt": 1, "env_id": "reach1d", "behaviour": "Reach1D", "max_steps": 50_000,
        "steps": 50_000, "num_of_areas": 8, "num_envs": 1, "agent_config": "agent_config", "trainer": "mlagents",
        "job_type": "CREATE", "hyperparameters": {}, "checkpoint_url": None, "checkpoint_sha256": None, "start_step": 0,
    }  # fmt: skip
    assert {name: spec[name] for name in wanted} == wanted
