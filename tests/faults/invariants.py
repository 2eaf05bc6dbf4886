"""What holds after every fault, whatever it was: each job has ended once, all of it was told, and nothing is left."""

import contextlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
from kombu import Connection

from services.platform import wait_until
from tests.faults.follower import Follower
from tests.faults.rig import STUB, Rig
from tests.faults.witness import found
from tests.stub_trainings import stub_model

QUIET_SECONDS = 30
"""For what may come a little after the end of a job: the last rows, folders and processes to go."""
FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")
QUEUES = ("train", "coord", "training.facts")


def wait_for_the_ends(rig: Rig, followers: Iterable[Follower], seconds: float) -> None:
    """Until every job has ended by the record, and its game knows."""
    run_ids = [follower.run_id for follower in followers]
    try:
        wait_until(lambda: all(state in FINAL for _, state in states(rig, run_ids)), seconds, "the ends of all jobs")
    except AssertionError as error:
        raise AssertionError(f"{error} {states(rig, run_ids)}") from None
    for follower in followers:
        assert follower.wait_for_the_end(seconds), f"The game that watches {follower.run_id} was not told of the end."


def states(rig: Rig, run_ids: list[str]) -> list[tuple[Any, ...]]:
    return rig.query("SELECT run_id, state FROM jobs WHERE run_id = ANY(%s::uuid[])", run_ids)


def check(rig: Rig, jobs: Mapping[Follower, str]) -> None:
    """All of it, for jobs that have ended, with the states that they are to be in."""
    for follower, expected in jobs.items():
        ended_once(rig, follower.run_id, expected)
        was_told_everything(rig, follower)
        attempts_are_closed(rig, follower.run_id)
        if expected == "SUCCEEDED":
            model_is_the_one(rig, follower)
    nothing_is_left(rig)


def ended_once(rig: Rig, run_id: str, expected: str, times: int = 1) -> None:
    """In the state that is expected, with as many ends in its story as it was asked for."""
    ((state, error),) = rig.query("SELECT state, error FROM jobs WHERE run_id = %s", run_id)
    causes = rig.query("SELECT number, cause FROM attempts WHERE run_id = %s ORDER BY number", run_id)
    assert state == expected, f"It is {state} instead of {expected}: {error} Attempts: {causes}"
    ((finals,),) = rig.query("SELECT count(*) FROM events WHERE run_id = %s AND final", run_id)
    assert finals == times, f"Its end was told {finals} times instead of {times}."


def was_told_everything(rig: Rig, follower: Follower) -> None:
    """The record has no gap, and a game that came back again and again has the same, each message once."""
    rows = rig.query("SELECT seq, frame FROM events WHERE run_id = %s ORDER BY seq", follower.run_id)
    seqs = [seq for seq, _ in rows]
    assert seqs == list(range(1, len(rows) + 1)), f"The record has gaps: {seqs}."
    assert follower.seqs == seqs, f"The game was told {follower.seqs} instead of {seqs}."
    assert follower.messages == [json.loads(frame) for _, frame in rows], "The game was told something else."


def attempts_are_closed(rig: Rig, run_id: str, requests: int = 1) -> None:
    """Each with a cause in a sentence, each outcome with all facts before it; one success for each request at most."""
    rows = rig.query(
        "SELECT number, ended_at, cause, facts_recorded, (outcome->>'facts_sent')::int, outcome->>'status' "
        "FROM attempts WHERE run_id = %s", run_id
    )  # fmt: skip
    for number, ended_at, cause, recorded, sent, _ in rows:
        assert ended_at, f"Attempt {number} is still open."
        assert str(cause).endswith("."), f"The cause of attempt {number} is no sentence: {cause!r}."
        assert sent is None or recorded == sent, f"Attempt {number} sent {sent} facts, {recorded} are recorded."
    succeeded = [row for row in rows if row[5] == "succeeded" and row[2] == "It succeeded."]
    assert len(succeeded) <= requests, f"{len(succeeded)} attempts have succeeded, of {requests} that were asked for."


def model_is_the_one(rig: Rig, follower: Follower) -> None:
    """Recorded, stored and delivered as the trainer wrote it."""
    (recorded,) = rig.query(
        "SELECT sha256, attempt FROM artifacts WHERE run_id = %s AND kind = 'model' ORDER BY attempt DESC LIMIT 1",
        follower.run_id,
    )
    stored = sha256(rig.ask("GET", f"train-jobs/{follower.run_id}/nn-model")).hexdigest()
    delivered = [sha256(model).hexdigest() for model in follower.models[-1:]]
    assert (stored, delivered) == (recorded[0], [recorded[0]]), "Stored or delivered is another model than recorded."
    if rig.trainer == STUB:
        ((steps,),) = rig.query("SELECT steps_before + steps FROM jobs WHERE run_id = %s", follower.run_id)
        written = {sha256(stub_model(follower.run_id, steps)).hexdigest()}
    else:
        written = rig.witness.models(follower.run_id)
    assert recorded[0] in written, "The model is not what the trainer wrote."


def nothing_is_left(rig: Rig, kept_of: Collection[str] = ()) -> None:
    """No row, message, folder, process or port of what is over. Of those runs files may be kept on a node for a person:
    they were ended in a hurry while what they have to be stored in was away."""
    for what, left in (
        ("jobs that have not ended", lambda: rig.query("SELECT run_id FROM jobs WHERE state <> ALL(%s)", [*FINAL])),
        ("open attempts", lambda: rig.query("SELECT run_id, number FROM attempts WHERE ended_at IS NULL")),
        ("rows of the outbox", lambda: rig.query("SELECT task, run_id, attempt, sent_at FROM outbox")),
        ("messages in queues", lambda: waiting_messages(rig)),
        ("folders of attempts", lambda: folders(rig, kept_of)),
        ("processes of trainings", lambda: processes(rig)),
        ("ports held for trainings", lambda: held_ports(rig)),
    ):  # fmt: skip
        _wait_for_none(what, left)
    rejected = rig.query("SELECT source, reason FROM rejected_messages")
    assert not rejected, f"Messages were set aside: {rejected}."


def _wait_for_none(what: str, left: Any) -> None:
    try:
        wait_until(lambda: not left(), QUIET_SECONDS, f"an end of {what}")
    except AssertionError:
        still = left()
        assert not still, f"There are {what} left: {still}."


def folders(rig: Rig, kept_of: Collection[str]) -> list[str]:
    """Of attempts, in all the places of the nodes, with what lies beside them."""
    left = found(rig.folder, "node-*/*/*-*-*-*-*.*")
    return [str(path) for path in left if path.parent.name != "kept" or path.stem not in kept_of]


def waiting_messages(rig: Rig) -> dict[str, int]:
    """By queue: those that nobody has taken yet, where there are any."""
    queues = {*QUEUES, *(name for (name,) in rig.query("SELECT DISTINCT queue FROM jobs"))}
    counts = {}
    for queue in queues:
        with Connection(rig.stack.env["BROKER_URL"]) as connection:
            counts[queue] = connection.default_channel.queue_declare(queue, passive=True).message_count
    return {queue: count for queue, count in counts.items() if count}


def processes(rig: Rig) -> list[str]:
    """Those that work in a folder of an attempt: trainers, their environments, what stands around them."""
    left = []
    for process in psutil.process_iter():
        try:
            if Path(os.readlink(f"/proc/{process.pid}/cwd")).is_relative_to(rig.folder):
                left.append(f"{process.pid} {' '.join(process.cmdline())[:80]}")
        except (OSError, psutil.Error):
            continue  # it has just gone, or is nobody's
    return left


def held_ports(rig: Rig) -> list[str]:
    """Names under which the nodes' processes hold ports for their trainings."""
    return [name for node in rig.nodes if (pid := rig.process(node).pid) for name in _held_below(pid)]


def _held_below(main: int) -> list[str]:
    held: list[str] = []
    for process in psutil.Process(main).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just gone
            held += [str(its.laddr) for its in process.net_connections("unix")]
    return [name for name in held if "train-jobs/port" in name]
