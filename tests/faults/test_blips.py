"""During one real training all that is around it goes away, one after another: the training notices nothing."""

import json
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.platform import wait_until
from tests.faults import invariants
from tests.faults.conftest import Rigs
from tests.faults.follower import Follower
from tests.faults.rig import REAL, UNHURRIED, Rig
from tests.faults.victims import find

STEPS = 45_000
"""Of 8 agents that take 50 ms a step: five minutes at least."""
SUMMARY = 2_000
AWAY = {"RabbitMQ": 120, "PostgreSQL": 60, "S3": 60}
"""Seconds, in this order, with web and recorder restarted before S3."""
SECONDS = 600
"""For the training to end after all of this."""


class Facts:
    """A second name for the file in which the node keeps what its training has said: the node removes its own."""

    def __init__(self, rig: Rig, run_id: str) -> None:
        (folder,) = rig.attempts_of(run_id)
        self._path = Path(rig.folder / "facts.jsonl")
        self._path.hardlink_to(folder / "facts.jsonl")

    def metrics(self) -> list[tuple[int, int]]:
        """n and step of each."""
        said = [json.loads(line) for line in self._path.read_text().splitlines()]
        return [(n, fact["step"]) for n, fact in enumerate(said, 1) if fact["kind"] == "metrics"]


@pytest.fixture
def rig(rigs: Rigs) -> Any:
    yield rigs.of(REAL)
    rigs.drop()


def test_no_blip_of_what_is_around_it_ends_or_repeats_a_training(rig: Rig) -> None:
    game = rig.submit(UNHURRIED, STEPS, hyperparameters={"summary_freq": SUMMARY}, checkpoint_interval=5_000)
    wait_until(lambda: rig.query("SELECT 1 FROM metrics"), 90, "a first metric")
    facts = Facts(rig, game.run_id)
    trainer = psutil.Process(find(rig, "trainer", game.run_id).pids[0])

    for name, seconds in AWAY.items():
        if name == "S3":
            _restart_web_and_recorder(rig)
        before = len(facts.metrics())
        _away(rig, name, seconds)
        assert trainer.is_running(), f"The trainer did not outlive an absence of {name}."
        assert len(facts.metrics()) > before, f"Nothing was trained while {name} was away: nothing is shown."
        said = facts.metrics()[-1][0]
        wait_until(lambda last=said: _recorded(rig) >= last, 90, f"the facts from the absence of {name}")
    assert rig.query("SELECT state FROM jobs") == [("RUNNING",)], "The training was too short to show anything."
    invariants.wait_for_the_ends(rig, [game], SECONDS)
    _check(rig, game, facts)


def _away(rig: Rig, name: str, seconds: float) -> None:
    service = next(its for its in rig.stack.services if its.name == name)
    service.stop()
    time.sleep(seconds)
    service.start()


def _restart_web_and_recorder(rig: Rig) -> None:
    for name in ("web", "recorder"):
        rig.platform.process(name).stop()
    rig.platform.start("web", "recorder")


def _recorded(rig: Rig) -> int:
    ((recorded,),) = rig.query("SELECT max(facts_recorded) FROM attempts")
    return int(recorded)


def _check(rig: Rig, game: Follower, facts: Facts) -> None:
    """One attempt, every metric that the node has noted, and the model with the game."""
    assert rig.query("SELECT number FROM attempts") == [(1,)]
    assert rig.query("SELECT n, step FROM metrics ORDER BY n") == facts.metrics()
    steps = [message["step"] for message in game.messages if message["msg_id"] == 0]
    assert steps == [step for _, step in facts.metrics()]
    invariants.check(rig, {game: "SUCCEEDED"})
