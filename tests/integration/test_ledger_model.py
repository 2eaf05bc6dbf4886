"""Random histories of a few jobs, one command after the other: what must hold, holds after each."""

from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from coordinator.ledger import Told
from coordinator.lifecycle import ACTIVE, JobState
from tests.conftest import Template
from tests.integration import ledger_invariants
from tests.integration.ledger_invariants import Record, records
from tests.integration.ledger_world import FILES, NOT_THE_FILES, SWEEPS, World, new_claim
from tests.jobs import bearer, metric, phase
from wire.facts import CAUSES, OUTCOMES

FACTS = st.lists(
    st.sampled_from([phase("STARTING"), phase("RUNNING"), metric(100), metric(200)]), min_size=1, max_size=4
)
NODES, ANY = st.integers(0, 1), st.integers(0, 5)
AGES = st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, -1])
"""How many attempts ago; mostly the current one, sometimes one that is not there yet."""
MOST_JOBS = 2


class Histories(RuleBasedStateMachine):
    """`World` is driven; what this remembers is what the nodes and the user know, and what was there before."""

    app: Flask
    world: World
    told: list[Told]

    @initialize()
    def begin(self) -> None:
        self.world.clear()
        self.told.clear()
        self.before = dict[str, Record]()
        self.claims = dict[tuple[str, int], tuple[int, UUID]]()
        self.said = dict[tuple[str, int], int]()
        self.keys = dict[str, str]()
        self.uploaded = set[tuple[str, int, str]]()
        self.submit(None)

    def pick(self, place: int) -> str:
        return list(self.before)[place % len(self.before)]

    def attempt_of(self, run_id: str, age: int) -> int:
        return max(1, int(self.before[run_id].job["attempt"]) - age)

    @precondition(lambda self: len(self.before) < MOST_JOBS)
    @rule(key=st.sampled_from([None, "a", "b"]))
    def submit(self, key: str | None) -> None:
        status, run_id = self.world.submit(key)
        if key in self.keys and self.is_gone(self.keys[key]):
            assert status == 409
        else:
            assert status == 200
            assert run_id == self.keys.get(key or "", run_id)
        if key and status == 200:
            self.keys[key] = run_id

    def is_gone(self, run_id: str) -> bool:
        return run_id not in self.before or bool(self.before[run_id].job["deleted_at"])

    @rule(place=ANY, age=AGES, node=NODES, again=st.booleans())
    def claim(self, place: int, age: int, node: int, again: bool) -> None:
        run_id = self.pick(place)
        number, its = self.attempt_of(run_id, age), self.before[run_id]
        taken_by, claim = self.claims.get((run_id, number), (node, new_claim())) if again else (None, new_claim())
        is_free = its.state is JobState.SUBMITTED and number == its.job["attempt"] and self.world.gets_work(node)
        is_mine = taken_by == node and (run_id, number) in self.claims and is_open(its, number)
        answer = self.world.claim(node, run_id, number, claim)
        assert answer == (200 if not its.job["deleted_at"] and (is_free or is_mine) else 409)
        if answer == 200:
            self.claims[run_id, number] = node, claim

    @rule(place=ANY, age=AGES, node=NODES)
    def heartbeat(self, place: int, age: int, node: int) -> None:
        run_id = self.pick(place)
        number, its = self.attempt_of(run_id, age), self.before[run_id]
        is_mine = is_open(its, number) and self.claims[run_id, number][0] == node
        wanted = "not yours" if not is_mine else "cancel" if its.job["cancel_requested_at"] else "go on"
        assert self.world.heartbeat(node, run_id, number) == wanted

    @rule(place=ANY, age=AGES, facts=FACTS, back=st.sampled_from([0, 0, 0, 1, 3]))
    def say(self, place: int, age: int, facts: list[dict[str, Any]], back: int) -> None:
        """New facts, or once more some that were said before and some that are new."""
        run_id = self.pick(place)
        number = self.attempt_of(run_id, age)
        first = max(1, self.said.get((run_id, number), 0) + 1 - back)
        if number in self.before[run_id].attempts:
            self.said[run_id, number] = max(self.said.get((run_id, number), 0), first + len(facts) - 1)
        self.world.say(run_id, number, first, facts)

    @rule(place=ANY, age=AGES, node=NODES, step=st.integers(1, 5))
    def checkpoint(self, place: int, age: int, node: int, step: int) -> None:
        run_id = self.pick(place)
        number = self.attempt_of(run_id, age)
        assert self.world.checkpoint(node, run_id, number, step) == self.holds(node, run_id, number)

    def holds(self, node: int, run_id: str, number: int) -> bool:
        its = self.before[run_id].attempts.get(number)
        return its is not None and its["ended_at"] is None and self.claims[run_id, number][0] == node

    @rule(place=ANY, age=AGES, status=st.sampled_from([*OUTCOMES, "succeeded"]), cause=st.sampled_from([None, *CAUSES]),
          files=st.lists(st.sampled_from(FILES), unique_by=lambda what: what.rpartition(" ")[2]),
          missing=st.sampled_from([0, 0, 0, 2]))  # fmt: skip
    def hand_in(
        self, place: int, age: int, status: str, cause: str | None, files: list[str], missing: int
    ) -> None:  # fmt: skip
        run_id = self.pick(place)
        number = self.attempt_of(run_id, age)
        node = self.claims.get((run_id, number), (0, None))[0]
        its = [self.world.upload(node, run_id, number, what) for what in files]
        if self.holds(node, run_id, number):
            self.uploaded |= {(run_id, number, one.sha256) for one in its if one.sha256 != NOT_THE_FILES}
        sent = self.said.get((run_id, number), 0) + missing
        error = None if status == "succeeded" else "It broke."
        cause = None if status == "succeeded" else cause
        self.world.hand_in(run_id, number, its, status=status, facts_sent=sent, error=error, cause=cause)

    @rule(place=ANY, facts=FACTS)
    def say_what_comes_after_the_outcome(self, place: int, facts: list[dict[str, Any]]) -> None:
        """As a batch does that is delivered once more."""
        run_id = self.pick(place)
        if self.before[run_id].state in ACTIVE:
            self.hand_in(place, 0, "failed", None, [], 0)
            self.say(place, 0, facts, len(facts))

    @rule(place=ANY, age=AGES)
    def finish(self, place: int, age: int) -> None:
        """Also when nobody has asked for it: a task may come twice, and late."""
        run_id = self.pick(place)
        self.world.finish(run_id, self.attempt_of(run_id, age))

    @rule(place=ANY)
    def work_off_the_outbox(self, place: int) -> None:
        run_id = self.pick(place)
        for task, number in self.before[run_id].tasks:
            if task == ledger_invariants.TASK_FINISH:
                self.world.finish(run_id, number)

    @rule(place=ANY, node=NODES)
    def train_to_the_end(self, place: int, node: int) -> None:
        """Without an accident; otherwise few histories would have a success to go on from."""
        run_id = self.pick(place)
        number = int(self.before[run_id].job["attempt"])
        self.claim(place, 0, node, again=True)
        self.before = records(self.app)
        self.say(place, 0, [phase("RUNNING"), metric(300)], 0)
        self.hand_in(place, 0, "succeeded", None, ["model", "checkpoint"], 0)
        self.world.finish(run_id, number)

    @rule(place=ANY, age=AGES)
    def lose(self, place: int, age: int) -> None:
        run_id = self.pick(place)
        self.world.lose(run_id, self.attempt_of(run_id, age))

    @rule(place=ANY, really=st.sampled_from([True, False, False]))
    def cancel(self, place: int, really: bool) -> None:
        if not really:
            return
        run_id = self.pick(place)
        is_there = not self.before[run_id].job["deleted_at"]
        assert self.world.cancel(run_id) == (200 if is_there else 404)

    @rule(place=ANY, really=st.sampled_from([True, False, False]))
    def delete(self, place: int, really: bool) -> None:
        if not really:  # or most histories would be short ones
            return
        run_id = self.pick(place)
        is_there = not self.before[run_id].job["deleted_at"]
        assert self.world.delete(run_id) == (200 if is_there else 404)

    @rule(place=ANY)
    def resume(self, place: int) -> None:
        run_id = self.pick(place)
        its = self.before[run_id]
        may_be = (
            [404] if its.job["deleted_at"] else [409] if its.state in (JobState.FAILED, JobState.CANCELLED) else [200]
        )
        if its.state is JobState.SUCCEEDED and not its.job["deleted_at"]:
            may_be = [200 if any(one["kind"] == "checkpoint" for one in its.artifacts) else 409]
        assert self.world.resume(run_id) in may_be

    @rule(place=ANY, name=st.sampled_from(SWEEPS), later=st.booleans())
    def sweep(self, place: int, name: str, later: bool) -> None:
        if later:
            run_id = self.pick(place)
            self.world.pass_time(run_id, self.attempt_of(run_id, 0))
        self.world.sweep(name)

    @invariant()
    def everything_holds(self) -> None:
        now = records(self.app)
        for run_id, its in now.items():
            ledger_invariants.check(its)
            if run_id in self.before:
                ledger_invariants.check_step(self.before[run_id], its)
            assert {(one["attempt"], one["sha256"]) for one in its.artifacts if one["kind"] == "model"} <= {
                (number, sha256) for run, number, sha256 in self.uploaded if run == run_id
            }
        for run_id in self.before.keys() - now.keys():
            assert self.before[run_id].job["deleted_at"]
            assert self.before[run_id].state.is_final
        self.everything_is_told(now)
        self.before = now
        if not now:
            self.world.submit()
            self.before = records(self.app)

    def everything_is_told(self, now: dict[str, Record]) -> None:
        """Each event once and in order; the first one is in the answer to the submit."""
        for run_id, its in now.items():
            told = [one.seq for one in self.told if str(one.run_id) == run_id]
            assert told == list(range(2, its.job["last_seq"] + 1))


def is_open(its: Record, number: int) -> bool:
    """Whether the attempt is current and has not ended."""
    return its.state in ACTIVE and number == its.job["attempt"]


@pytest.fixture
def histories(app: Flask, pipeline: None, template: Template, told: list[Told]) -> type[Histories]:
    """Over a database of their own."""
    world = World(app, bearer(template.owner), [bearer(template.node), bearer(template.other_node)])
    return type("Histories", (Histories,), {"app": app, "world": world, "told": told})


def test_whatever_happens_in_any_order_the_record_holds(histories: type[Histories]) -> None:
    run_state_machine_as_test(histories, settings=settings())
