"""Live streams over the real programs: every viewer has the same gapless sequence; the model comes once, at the end."""

import http.client
import json
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from services.platform import Platform, wait_until
from services.proc import pids_with_parent
from tests.acceptance.viewers import Viewer
from tests.integration.live import connect, farewell, new_run, resume, watch
from tests.jobs import URL, bearer, metric, phase
from tests.stub_node import MODEL, StubNode

ALL_STATES = ["SUBMITTED", "RETRIEVED", "STARTING", "RUNNING", "SUCCEEDED"]


def metrics(first: int, last: int) -> list[dict[str, object]]:
    return [metric(n * 100) for n in range(first, last + 1)]


def assert_is_whole(viewer: Viewer, first: int, last: int) -> None:
    """Each number once, in order, then the model in one message, then 1000."""
    assert viewer.seqs == list(range(first, last + 1))
    assert (viewer.binaries, viewer.order[-1], viewer.close_code) == ([MODEL], "binary", 1000)


def test_a_game_sees_its_training_from_beginning_to_end(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    stub_node.train(run_id, summaries=5)
    assert_is_whole(viewer.finish(), 1, 10)
    assert viewer.statuses == ALL_STATES
    assert [(m["behaviour"], m["step"], type(m["mean_reward"])) for m in viewer.metrics] == [
        ("Reach1D", n * 1_000, float) for n in range(1, 6)
    ]  # fmt: skip


def test_the_audit_tells_of_each_step_whose_it_was(platform: Platform, stub_node: StubNode) -> None:
    """As the programs themselves name it."""
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    stub_node.train(run_id)
    viewer.finish()
    address = f"{platform.url}/api/v1/audit?run_id={run_id}&order=at"
    found = requests.get(address, headers=bearer(platform.token), timeout=30).json()
    steps = [(it["action"], it["actor"]["type"], it["actor"]["name"]) for it in found]
    submitted, *of_the_node = steps[:4]
    assert (submitted[:2], {it[1] for it in of_the_node}) == (("job.submitted", "user"), {"node"})
    assert [it[0] for it in of_the_node] == ["job.claimed", "job.started", "job.connected"]
    assert steps[4] == ("file.stored", "coordinator", "results")
    assert steps[5] == ("attempt.ended", "node", of_the_node[0][2])
    assert steps[6:] == [("job.succeeded", "coordinator", "results")]


def test_two_viewers_see_the_same_and_one_that_leaves_disturbs_nobody(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    leaving, staying, late = watch(platform, run_id, leave_after=3), watch(platform, run_id), None
    stub_node.claim(run_id)
    stub_node.say(run_id, phase("RUNNING"), *metrics(1, 20))
    leaving.finish()
    late = watch(platform, run_id)
    late.wait_for(3)
    stub_node.say(run_id, *metrics(21, 40))
    stub_node.succeed(run_id)
    for viewer in (staying, late):
        assert_is_whole(viewer.finish(), 1, 44)
    assert late.messages == staying.messages
    assert leaving.messages == staying.messages[:3]


def test_a_returning_viewer_gets_what_it_missed_and_goes_on_live(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    first = watch(platform, run_id, leave_after=7)
    stub_node.claim(run_id)
    stub_node.say(run_id, phase("RUNNING"), *metrics(1, 20))
    last = first.finish().seqs[-1]
    again = watch(platform, run_id, after=last)
    again.wait_for(1)
    stub_node.say(run_id, *metrics(21, 30))
    stub_node.succeed(run_id)
    assert_is_whole(again.finish(), 8, 34)


def test_who_comes_after_the_end_gets_everything_at_once(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    stub_node.train(run_id)
    assert_is_whole(watch(platform, run_id).finish(), 1, 8)
    assert_is_whole(watch(platform, run_id).finish(), 1, 8)


def test_who_has_seen_all_but_the_model_gets_it_without_waiting(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    stub_node.train(run_id)
    watch(platform, run_id).finish()
    began = time.monotonic()
    viewer = watch(platform, run_id, after=8).finish()
    assert (viewer.messages, viewer.binaries, viewer.close_code) == ([], [MODEL], 1000)
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_without_a_success_there_is_never_a_binary_message(platform: Platform, stub_node: StubNode, end: str) -> None:
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    stub_node.claim(run_id)
    model = stub_node.upload(run_id, "model", MODEL)
    if end == "cancelled":
        requests.post(f"{platform.url}{URL}/{run_id}/cancel", headers=bearer(platform.token), timeout=10)
    status = {"failed": "failed", "cancelled": "stopped"}[end]
    stub_node.hand_in(run_id, model, status=status, error="The reward is not a number.")
    for one in (viewer, watch(platform, run_id)):
        one.finish()
        assert (one.statuses[-1], one.binaries, one.close_code) == ("FAILED", [], 1000)
        assert one.messages[-1]["state"] == end.upper()
    assert (
        viewer.messages[-1]["error"] == {"failed": "The reward is not a number.", "cancelled": "It was cancelled."}[end]
    )


def test_a_run_that_is_deleted_under_its_viewer_ends_for_it(platform: Platform, stub_node: StubNode) -> None:
    waiting, running = new_run(platform), new_run(platform)
    viewers = [watch(platform, waiting), watch(platform, running)]
    stub_node.claim(running)
    viewers[0].wait_for(1)
    viewers[1].wait_for(2)
    for run_id in (waiting, running):
        requests.delete(f"{platform.url}{URL}/{run_id}", headers=bearer(platform.token), timeout=10)
    stub_node.hand_in(running, status="stopped")
    for viewer in viewers:
        viewer.finish()
        assert (viewer.statuses[-1], viewer.binaries, viewer.close_code) == ("FAILED", [], 1000)


def test_a_late_viewer_sees_nothing_of_an_attempt_that_was_lost(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    early = watch(platform, run_id)
    stub_node.claim(run_id)
    stub_node.say(run_id, phase("RUNNING"), *metrics(1, 3))
    early.wait_for(6)
    stub_node.lose(run_id)
    early.wait_for(7)
    stub_node.train(run_id, attempt=2, summaries=2)
    late = watch(platform, run_id).finish()
    assert late.statuses == ALL_STATES
    assert {message["attempt"] for message in late.messages} == {2}
    assert_is_whole(late, 7, 13)
    assert_is_whole(early.finish(), 1, 13)


def test_a_resumed_run_is_watched_anew(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    stub_node.train(run_id, and_more=("checkpoint",))
    first = watch(platform, run_id).finish()
    resume(platform, run_id)
    viewer = watch(platform, run_id)
    stub_node.train(run_id, attempt=2)
    assert viewer.finish().statuses == ALL_STATES
    assert_is_whole(viewer, 9, 16)
    assert first.seqs[-1] == 8


def test_what_a_game_says_after_its_hello_changes_nothing(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    viewer.wait_for(1)
    for word in ("nonsense", json.dumps({"run_id": new_run(platform)}), b"\x00\xff", "x" * 60_000):
        viewer.socket.send_binary(word) if isinstance(word, bytes) else viewer.socket.send(word)
    viewer.socket.ping("still there?")
    stub_node.train(run_id)
    assert_is_whole(viewer.finish(), 1, 8)


def test_a_game_that_talks_on_and_on_costs_no_memory(platform: Platform) -> None:
    run_id = new_run(platform)
    (worker,) = pids_with_parent(platform.process("web").pid or 0)
    viewer = watch(platform, run_id)
    viewer.wait_for(1)
    before = memory(worker)
    for _ in range(600):
        viewer.socket.send("x" * 60_000)
    assert memory(worker) - before < 15 * 1024 * 1024
    viewer.socket.close()


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_a_game_that_leaves_is_forgotten(platform: Platform) -> None:
    """Its socket is closed by the server too: a dead connection would cost a file for ever."""
    run_id = new_run(platform)
    (worker,) = pids_with_parent(platform.process("web").pid or 0)
    files = Path(f"/proc/{worker}/fd")
    sockets = [connect(platform, platform.token) for _ in range(20)]
    for socket in sockets:
        socket.send(json.dumps({"run_id": run_id}))
        socket.recv()
    many = len(list(files.iterdir()))
    for socket in sockets:
        socket.shutdown()
    wait_until(lambda: len(list(files.iterdir())) <= many - 20, 15, "the sockets to be closed")


def test_an_oversized_message_ends_its_own_connection_only(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    staying, leaving = watch(platform, run_id), connect(platform, platform.token)
    leaving.send(json.dumps({"run_id": run_id}))
    leaving.send("x" * 70_000)
    assert farewell(leaving)[1] == 1009
    stub_node.train(run_id)
    assert_is_whole(staying.finish(), 1, 8)


def test_a_body_without_a_length_is_bounded_too(platform: Platform) -> None:
    connection = http.client.HTTPConnection(urlsplit(platform.url).netloc, timeout=30)
    headers = bearer(platform.token) | {"Transfer-Encoding": "chunked"}
    connection.request("POST", URL, iter([b"x" * 1_000] * 80), headers, encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["detail"]) == (413, "The body may have at most 65536 bytes.")


def test_the_sockets_address_asked_for_by_plain_http_is_no_bug(platform: Platform) -> None:
    address = platform.url + "/ws/v1/client-stream"
    for headers in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
        answer = requests.get(address, headers=headers, timeout=10)
        assert 400 <= answer.status_code < 500
    assert requests.get(address, timeout=10).json()["detail"].endswith(".")
