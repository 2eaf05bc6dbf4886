"""In the middle of a training everything but the node is killed or restarted, one after another."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from services.platform import Platform, wait_until
from services.stack import Stack
from tests.acceptance.viewers import Viewer, bearer, submit

STEPS = 45_000
RESTARTS = ("web", "results", "recorder")


@pytest.fixture
def platform(own_stack: Stack, tmp_path: Path) -> Iterator[Platform]:
    with Platform(own_stack, tmp_path / "platform") as running:
        running.start("web", "results", "recorder", "node")
        yield running


class Steadfast:
    """A game that comes back with `after` whenever its socket breaks, until the run has ended."""

    def __init__(self, platform: Platform, run_id: str) -> None:
        self.platform, self.run_id = platform, run_id
        self.viewers = [Viewer(platform.socket_url, {"run_id": run_id}, platform.token)]

    @property
    def messages(self) -> list[dict[str, object]]:
        return [message for viewer in self.viewers for message in viewer.told]

    def come_back(self) -> None:
        """After the server is there again."""
        self.viewers[-1].finish()
        hello = {"run_id": self.run_id, "after": self.messages[-1]["seq"]}
        self.viewers.append(Viewer(self.platform.socket_url, hello, self.platform.token))


def trainers(run_id: str) -> set[int]:
    """The trainer's own process: of all that name the run, the launcher."""
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if run_id in line and "mlagents_launcher" in line and "shim" not in line:
            found.add(process.pid)
    return found


@pytest.mark.own_broker
def test_a_training_outlives_every_restart_around_it(platform: Platform, own_stack: Stack) -> None:
    stack = own_stack
    run_id = submit(platform.url, platform.token, STEPS)["run_id"]
    game = Steadfast(platform, run_id)
    game.viewers[0].wait_for(6)
    process = trainers(run_id)
    assert process, "The trainer's process was not found."

    assert stack.s3
    stack.s3.kill()
    for name in RESTARTS:
        platform.process(name).kill()
    game.viewers[0].finish()
    platform.start(*RESTARTS)
    game.come_back()
    game.viewers[-1].wait_for(1)

    assert stack.s3
    stack.s3.start()
    assert stack.rabbitmq
    stack.rabbitmq.kill()
    stack.rabbitmq.start()
    seen = len(game.viewers[-1].told)
    game.viewers[-1].wait_for(seen + 1)

    assert stack.postgres
    stack.postgres.kill()
    away = Viewer(platform.socket_url, {"run_id": run_id}, platform.token).finish()
    assert (away.close_code, away.messages[0]["msg_id"]) == (1013, 10)
    stack.postgres.start()
    seen = len(game.messages)
    if not game.viewers[-1].is_alive() and game.viewers[-1].close_code != 1000:
        wait_until(platform.is_ready, 30, "the web to answer again")
        game.come_back()
    wait_until(lambda: len(game.messages) > seen, 60, "messages after PostgreSQL's restart")
    assert trainers(run_id) == process, "It was not one and the same trainer process all the time."

    while game.viewers[-1].finish().close_code != 1000:
        game.come_back()
    check(platform, run_id, game)


def check(platform: Platform, run_id: str, game: Steadfast) -> None:
    """Nothing is missing, nothing came twice, and it was one attempt."""
    seqs = [message["seq"] for message in game.messages]
    assert seqs == list(range(1, len(seqs) + 1))
    statuses = [message["status"] for message in game.messages if message["msg_id"] == 2]
    assert statuses == ["SUBMITTED", "RETRIEVED", "STARTING", "RUNNING", "SUCCEEDED"]
    steps = [message["step"] for message in game.messages if message["msg_id"] == 0]
    assert steps == sorted(set(steps))
    url = f"{platform.url}/api/v1/train-jobs/{run_id}"
    job = requests.get(url, headers=bearer(platform.token), timeout=30).json()
    assert len(job["attempts"]) == 1
    assert [message for message in game.messages if message["msg_id"] == 13], "No checkpoint was stored meanwhile."
    assert len(steps) == len(requests.get(f"{url}/metrics", headers=bearer(platform.token), timeout=30).json())
    assert game.viewers[-1].binaries
    assert game.viewers[-1].binaries[0] == requests.get(
        f"{url}/nn-model", headers=bearer(platform.token), timeout=30
    ).content  # fmt: skip
