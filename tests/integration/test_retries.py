"""Jobs whose attempts end one way or another: who is started again, what the record says, who is to blame."""

from typing import Any

import pytest
from flask import Flask

from coordinator.accounts import tokens, users
from coordinator.nodes import QUARANTINED
from coordinator.pipeline.receiver import deliver
from coordinator.pipeline.reports import AttemptLost
from coordinator.tasks import LOST
from tests.integration.database import change, job, outbox, rows
from tests.integration.test_waiting import hello, why
from tests.jobs import URL, Client, bearer, body
from tests.played_node import PlayedNode
from wire.names import TASK_TRAIN, TRAIN_QUEUE

Headers = dict[str, str]
ATTEMPTS = "SELECT kind, cause FROM attempts ORDER BY number"
LIFE, NEXT_LIFE = "6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a", "0f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a"


def end(played: PlayedNode, run_id: str, attempt: int, **said: Any) -> None:
    assert played.claim(run_id, attempt).status_code == 200
    played.hand_in(run_id, attempt=attempt, **said)
    played.finish(run_id, attempt)


def submit(client: Client, owner: Headers) -> str:
    return str(client.post(URL, json=body(), headers=owner).json["run_id"])


def test_what_its_user_did_wrong_is_not_tried_again(app: Flask, run_id: str, played: PlayedNode) -> None:
    end(played, run_id, 1, status="failed", cause="user", error="The environment ended with code 1.")
    assert job(app, run_id) == ("FAILED", 1, "The environment ended with code 1.")
    assert rows(app, ATTEMPTS) == [("user", "The environment ended with code 1.")]


def test_want_of_memory_is_tried_once_more(app: Flask, run_id: str, played: PlayedNode) -> None:
    for attempt in (1, 2):
        end(played, run_id, attempt, status="failed", cause="memory", error="It used too much.")
    assert job(app, run_id) == ("FAILED", 2, "It was started 2 times; the last time: It used too much.")


def test_drained_and_lost_attempts_do_not_count(app: Flask, run_id: str, played: PlayedNode) -> None:
    end(played, run_id, 1, status="interrupted", cause="drained", error="The training node was shut down.")
    end(played, run_id, 2, status="interrupted", cause="lost", error="The training node was restarted.")
    for attempt in (3, 4):
        end(played, run_id, attempt, status="failed", cause="stalled", error="It stood still.")
    assert (job(app, run_id)[:2], outbox(app)) == (("SUBMITTED", 5), [(TASK_TRAIN, 5)])
    end(played, run_id, 5, status="interrupted", cause="node", error="The disk broke.")
    assert job(app, run_id) == (
        "FAILED", 5, "It was started 5 times, 2 of which do not count; the last time: The disk broke.",
    )  # fmt: skip
    assert rows(app, ATTEMPTS) == [
        ("drained", "Its node node was told to stop."), ("lost", "Its node node was restarted during the training."),
        ("stalled", "It stood still."), ("stalled", "It stood still."), ("node", "The disk broke."),
    ]  # fmt: skip


def test_a_new_request_counts_anew(app: Flask, client: Client, owner: Headers, run_id: str, played: PlayedNode) -> None:
    for attempt in (1, 2):
        end(played, run_id, attempt, status="failed", cause="stalled", error="It stood still.")
    played.train(run_id, 3)
    client.post(URL, json=body() | {"run_id": run_id}, headers=owner)
    end(played, run_id, 4, status="failed", cause="stalled", error="It stood still.")
    assert job(app, run_id)[:2] == ("SUBMITTED", 5)


def test_a_lost_attempt_with_a_checkpoint_of_its_own_has_made_progress(
    app: Flask, run_id: str, played: PlayedNode
) -> None:
    for attempt in range(1, 15):
        played.claim(run_id, attempt)
        if attempt == 7:
            played.checkpoint(run_id, 1_000, attempt)
        played.lose(run_id, attempt)
    assert job(app, run_id)[:2] == ("SUBMITTED", 15)


def test_a_cancelled_run_is_not_tried_again_and_its_attempt_says_so(
    app: Flask, client: Client, owner: Headers, run_id: str, other_run_id: str, played: PlayedNode
) -> None:
    played.claim(run_id)
    played.claim(other_run_id)
    for its in (run_id, other_run_id):
        client.post(f"{URL}/{its}/cancel", headers=owner)
    played.hand_in(run_id, status="stopped")
    played.hand_in(other_run_id, status="failed", cause="node", error="The disk broke.")
    for its in (run_id, other_run_id):
        played.finish(its)
        assert job(app, its) == ("CANCELLED", 1, "It was cancelled.")
    assert rows(app, "SELECT kind, cause FROM attempts ORDER BY kind") == [
        ("cancelled", "It was cancelled."), ("node", "The disk broke."),
    ]  # fmt: skip


@pytest.fixture
def quarantined(app: Flask, client: Client, owner: Headers, played: PlayedNode) -> str:
    """Three different jobs failed on that node; the last one's id."""
    hello(played)
    for number in (1, 2, 3):
        run_id = submit(client, owner)
        end(played, run_id, 1, status="interrupted", cause="node", error=f"Disk {number} broke.")
    return run_id


SENTENCE = "3 jobs failed there within 10 minutes by its own fault: Disk 1 broke. Disk 2 broke. Disk 3 broke."


def test_a_node_that_spoils_three_jobs_gets_no_more_work(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, quarantined: str
) -> None:
    answer = hello(played).json
    assert (answer["queues"], answer["check"]) == ([], True)
    refused = played.claim(quarantined, 2)
    assert (refused.status_code, job(app, quarantined)[:2]) == (409, ("SUBMITTED", 2))
    assert "is not for this node: it has to pass its self-check first." in refused.json["detail"]
    assert why(app, quarantined) == (
        "No node that fits takes new trainings. node: It has to pass its self-check first."
    )
    with app.app_context():
        users.made("root").is_operator = True
        operator = bearer(tokens.create_for_user("root", scope="read"))
    for who, told in ((owner, QUARANTINED), (operator, SENTENCE)):  # three jobs of anybody's, and what broke them
        shown = {it["name"]: it["quarantine"] for it in client.get("/api/v1/node", headers=who).json}
        assert shown == {"node": told, "other-node": None}


def test_a_node_that_passes_its_self_check_gets_work_again(app: Flask, played: PlayedNode, quarantined: str) -> None:
    assert played.post("/self-check", {"passed": False, "findings": ["No Python.", "No disk."]}).json is True
    assert rows(app, "SELECT quarantine FROM nodes WHERE name = 'node'") == ["It did not pass: No Python. No disk."]
    assert hello(played).json["check"] is True
    assert played.post("/self-check", {"passed": True}).json is True
    answer = hello(played).json
    assert (answer["queues"], answer["check"]) == ([TRAIN_QUEUE], False)
    end(played, quarantined, 2, status="interrupted", cause="node", error="Disk 4 broke.")
    assert hello(played).json["check"] is False, "What was before the self-check counts no more."


def test_an_operator_releases_a_node(app: Flask, played: PlayedNode, quarantined: str) -> None:
    done = app.test_cli_runner().invoke(args=["nodes", "release", "node"])
    assert (done.exit_code, hello(played).json["check"]) == (0, False)
    assert "There is no node 'nobody'." in app.test_cli_runner().invoke(args=["nodes", "release", "nobody"]).output


def test_one_job_that_fails_three_times_is_not_the_nodes_fault_alone(
    app: Flask, run_id: str, played: PlayedNode
) -> None:
    for attempt in (1, 2, 3):
        end(played, run_id, attempt, status="interrupted", cause="node", error="Disk broke.")
    assert hello(played).json["check"] is False


def test_faults_of_long_ago_do_not_count(app: Flask, client: Client, owner: Headers, played: PlayedNode) -> None:
    for _ in (1, 2, 3):
        change(app, "UPDATE attempts SET ended_at = ended_at - interval '6 minutes'")
        end(played, submit(client, owner), 1, status="interrupted", cause="node", error="Disk broke.")
    assert hello(played).json["check"] is False


@pytest.mark.parametrize(("is_there", "is_draining", "faults"), [(True, False, 1), (False, False, 0), (True, True, 0)])
def test_a_worker_process_that_dies_is_the_fault_of_a_node_that_is_at_work(
    app: Flask, run_id: str, played: PlayedNode, is_there: bool, is_draining: bool, faults: int
) -> None:
    played.claim(run_id)
    if is_there:
        played.post("/hello", {"slots": 1, "drain": "finish" if is_draining else None})
    with app.app_context():
        deliver(AttemptLost(rows(app, "SELECT run_id FROM jobs")[0], 1, LOST, is_fault=True))
    assert job(app, run_id)[:2] == ("SUBMITTED", 2)
    assert rows(app, "SELECT kind, cause, is_fault::int FROM attempts") == [
        ("lost", "Its worker process died on node node.", faults),
    ]  # fmt: skip


def drain(app: Flask, *arguments: str) -> Any:
    return app.test_cli_runner().invoke(args=["nodes", "drain", *arguments])


def test_a_node_is_told_to_drain_with_its_next_hello_and_gets_no_work_from_now_on(
    app: Flask, client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    played.post("/hello", {"slots": 1, "life": LIFE})
    assert drain(app, "node").exit_code == 0
    assert played.claim(run_id).json["detail"] == f"Run {run_id} is not for this node: it is being shut down."
    answer = played.post("/hello", {"slots": 1, "life": LIFE}).json
    assert (answer["drain"], answer["queues"]) == ("hand-over", [])
    assert why(app, run_id) == "No node that fits takes new trainings. node: It is being shut down."
    shown = {it["name"]: it["drain"] for it in client.get("/api/v1/node", headers=owner).json}
    assert shown == {"node": "hand-over", "other-node": None}


def test_a_wish_to_drain_is_meant_for_one_life_of_a_node(app: Flask, played: PlayedNode) -> None:
    played.post("/hello", {"slots": 1, "life": LIFE})
    assert drain(app, "node", "--finish").exit_code == 0
    assert played.post("/hello", {"slots": 1, "life": LIFE}).json["drain"] == "finish"
    answer = played.post("/hello", {"slots": 1, "life": NEXT_LIFE}).json
    assert (answer["drain"], answer["queues"]) == (None, [TRAIN_QUEUE])


def test_a_node_that_was_told_on_its_own_machine_says_so(app: Flask, run_id: str, played: PlayedNode) -> None:
    answer = played.post("/hello", {"slots": 1, "life": LIFE, "drain": "finish"}).json
    assert (answer["drain"], answer["queues"]) == ("finish", [])
    assert played.claim(run_id).status_code == 409


def test_a_node_that_would_not_understand_cannot_be_told_to_drain(app: Flask, played: PlayedNode) -> None:
    hello(played)
    done = drain(app, "node")
    assert done.exit_code == 1
    assert "Stop it by SIGTERM." in done.output
    assert "There is no node 'nobody'." in drain(app, "nobody").output
