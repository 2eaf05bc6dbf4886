"""The same from several sides at once: random commands of several threads on a few jobs, by the real code and locks."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from flask import Flask

from coordinator.ledger import Told
from tests.conftest import Template
from tests.integration import ledger_invariants
from tests.integration.ledger_invariants import records
from tests.integration.ledger_world import FILES, SWEEPS, World
from tests.jobs import bearer, metric, phase
from wire.facts import CAUSES, OUTCOMES

WRITERS, COMMANDS, JOBS = 6, 60, 3
SEEDS = [1, 2, 3]
WEIGHTS = {"claim": 8, "say": 4, "say_of_all": 4, "hand_in": 4, "finish": 4, "lose": 2, "heartbeat": 2, "checkpoint": 2,
           "sweep": 2, "resume": 2, "cancel": 0.1}  # fmt: skip
"""How often each is done, beside the others."""


class Writer:
    """One of several who know the same jobs, and do at random what a user, a node or a sweep may do."""

    def __init__(self, world: World, runs: list[str], newest: Callable[[str], int], seed: int) -> None:
        self._world, self._runs, self._newest = world, runs, newest
        self._random = random.Random(seed)  # noqa: S311

    def run(self, commands: int) -> None:
        for _ in range(commands):
            self.act()

    def act(self) -> None:
        """One command. What the coordinator refuses is fine; whatever else it raises is not."""
        run_id = self._random.choice(self._runs)
        attempt = max(1, self._newest(run_id) - self._random.choice([0, 0, 0, 0, 1]))
        (command,) = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))
        getattr(self, command)(run_id, attempt)

    def claim(self, run_id: str, attempt: int) -> None:
        self._world.claim(self._random.randrange(2), run_id, attempt, UUID(int=self._random.getrandbits(128)))

    def say(self, run_id: str, attempt: int) -> None:
        facts = [phase("RUNNING"), metric(self._random.randrange(1_000)), metric(self._random.randrange(1_000))]
        self._world.say(run_id, attempt, self._random.randrange(1, 20), facts)

    def hand_in(self, run_id: str, attempt: int) -> None:
        status = self._random.choice([*OUTCOMES, "succeeded", "succeeded"])
        files = [self._world.upload(node, run_id, attempt, what)
                 for node, what in ((0, self._random.choice(FILES[:3])), (1, "checkpoint"))]  # fmt: skip
        cause = None if status == "succeeded" else self._random.choice([None, *CAUSES])
        sent = self._random.randrange(10)
        self._world.hand_in(run_id, attempt, files, status=status, facts_sent=sent, error="So it ended.", cause=cause)

    def finish(self, run_id: str, attempt: int) -> None:
        self._world.finish(run_id, attempt)

    def lose(self, run_id: str, attempt: int) -> None:
        self._world.lose(run_id, attempt)

    def heartbeat(self, run_id: str, attempt: int) -> None:
        self._world.heartbeat(self._random.randrange(2), run_id, attempt)

    def checkpoint(self, run_id: str, attempt: int) -> None:
        self._world.checkpoint(self._random.randrange(2), run_id, attempt, self._random.randrange(1, 5))

    def say_of_all(self, run_id: str, attempt: int) -> None:
        attempts = [self._newest(one) for one in self._runs]
        self._world.say_of_all(self._runs, attempts, self._random.randrange(1, 20), [metric(1), metric(2)])

    def sweep(self, run_id: str, attempt: int) -> None:
        self._world.pass_time(run_id, attempt)
        self._world.sweep(self._random.choice(SWEEPS[:2]))

    def resume(self, run_id: str, attempt: int) -> None:
        self._world.resume(run_id)

    def cancel(self, run_id: str, attempt: int) -> None:
        self._world.cancel(run_id)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_several_do_at_once_the_record_holds(
    app: Flask, pipeline: None, template: Template, told: list[Told], seed: int
) -> None:
    let_them_write(app, template, told, seed, COMMANDS)


def let_them_write(app: Flask, template: Template, told: list[Told], seed: int, commands: int) -> None:
    """Writers at work, each with a random order of its own; then everything is checked."""
    nodes = [bearer(template.node), bearer(template.other_node)]
    worlds = [World(app, bearer(template.owner), nodes) for _ in range(WRITERS)]
    runs = [worlds[0].submit()[1] for _ in range(JOBS)]

    def newest(run_id: str) -> int:
        return max((one.attempt for one in list(told) if str(one.run_id) == run_id), default=1)

    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [Writer(world, runs, newest, seed * 1_000 + place) for place, world in enumerate(worlds)]
        for done in [pool.submit(writer.run, commands) for writer in writers]:
            done.result(120)
    now = records(app)
    for run_id in runs:
        its = now[run_id]
        ledger_invariants.check(its)
        seqs = sorted(one.seq for one in told if str(one.run_id) == run_id)
        assert seqs == list(range(2, its.job["last_seq"] + 1)), "an event was told twice, or never"
