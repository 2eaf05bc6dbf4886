"""The jobs of a soak: submitted, cancelled, deleted and resumed at random, and what is to hold of each in the end."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.faults import invariants
from tests.faults.follower import Follower
from tests.faults.rig import BROKEN, LINGERING, LONG, MISTAKEN, QUICK, STUB, Rig
from tests.stub_trainings import stub_body

MOST_OPEN = 12
LONGEST_PAUSE_SECONDS = 1.5
FAILING = (MISTAKEN, BROKEN)
FOLLOW_SECONDS = 60


@dataclass
class Soaked:
    """One job, and what was done to it."""

    env_id: str
    follower: Follower
    requests: int = 1
    is_cancelled: bool = False
    is_deleted: bool = False
    allowed: set[str] = field(default_factory=lambda: {"SUCCEEDED"})

    @property
    def run_id(self) -> str:
        return self.follower.run_id


class Jobs:
    """All of them. One thread makes and changes them; others may ask which are open."""

    def __init__(self, rig: Rig, random: Random) -> None:
        self._rig, self._random = rig, random
        self._all: list[Soaked] = []
        self._done: Counter[str] = Counter()
        self.broken: list[str] = []

    def one_more(self) -> None:
        """One thing that a game might do, and a pause."""
        doings: list[Callable[[], None]] = [self._submit, self._cancel, self._delete, self._resume]
        (doing,) = self._random.choices(doings, weights=(12, 2, 1, 2))
        try:
            doing()
        except Exception as error:  # the game was let down: it goes on, and the soak has failed
            self.broken.append(f"A game could not {doing.__name__.strip('_')}: {error!r}.")
        time.sleep(self._random.uniform(0.0, LONGEST_PAUSE_SECONDS))

    def open_ones(self) -> list[str]:
        """Those that can be hit."""
        return [job.run_id for job in list(self._all) if not job.follower.saw_the_end and not job.is_deleted]

    def unwanted(self) -> set[str]:
        """Those that games have cancelled or deleted."""
        return {job.run_id for job in self._all if job.is_cancelled or job.is_deleted}

    def unfinished(self) -> list[str]:
        rows = self._rig.query("SELECT run_id, state FROM jobs WHERE state <> ALL(%s)", [*invariants.FINAL])
        return [f"{run_id} is {state}" for run_id, state in rows]

    def line(self) -> str:
        return f"{len(self._all)} jobs, {len(self.open_ones())} open;"

    def summary(self) -> str:
        states = Counter(state for (state,) in self._rig.query("SELECT state FROM jobs"))
        attempts = Counter(kind for (kind,) in self._rig.query("SELECT kind FROM attempts"))
        return f"Done: {dict(self._done)}. Jobs: {dict(states)}. Attempts: {dict(attempts)}."

    def _submit(self) -> None:
        if len(self.open_ones()) >= MOST_OPEN:
            return
        env_id = self._random.choices((STUB, LINGERING, *FAILING), weights=(14, 2, 1, 1))[0]
        steps = self._random.choice((QUICK, 2 * QUICK, LONG, 2 * LONG))
        envs = self._random.choice((1, 1, 2))
        job = Soaked(env_id, self._rig.submit(env_id, steps, num_envs=envs, checkpoint_interval=2_000))
        if env_id in FAILING:
            job.allowed = {"FAILED"}
        self._all.append(job)
        self._done["submitted"] += 1

    def _cancel(self) -> None:
        if job := self._one_of([job for job in self._all if job.run_id in self.open_ones()]):
            self._rig.ask("POST", f"train-jobs/{job.run_id}/cancel")
            job.is_cancelled = True
            job.allowed = job.allowed | {"CANCELLED"}
            self._done["cancelled"] += 1

    def _delete(self) -> None:
        if job := self._one_of([job for job in self._all if not job.is_deleted]):
            self._rig.ask("DELETE", f"train-jobs/{job.run_id}")
            job.is_deleted = True
            job.follower.leave()
            self._done["deleted"] += 1

    def _resume(self) -> None:
        """A run that has succeeded, for some steps more; the game goes on where it was."""
        ended = [job for job in self._all if job.follower.saw_the_end and not job.is_deleted]
        succeeded = [job for job in ended if job.follower.messages[-1].get("state") == "SUCCEEDED"]
        job = self._one_of(succeeded)
        if job is None:
            return
        body = stub_body(QUICK, job.env_id, run_id=job.run_id)
        answer = self._rig.ask("POST", "train-jobs", json=body)
        assert answer.get("run_id") == job.run_id, answer
        job.follower = self._rig.follow(job.run_id, tuple(job.follower.frames))
        job.requests += 1
        self._done["resumed"] += 1

    def _one_of(self, jobs: list[Soaked]) -> Soaked | None:
        return self._random.choice(jobs) if jobs else None

    def check(self) -> list[str]:
        """What does not hold of them, once all have ended."""
        broken = []
        for job in self._all:
            try:
                self._check_deleted(job) if job.is_deleted else self._check(job)
            except AssertionError as error:
                broken.append(f"Run {job.run_id} ({job.env_id}): {error}")
        ((rows,),) = self._rig.query("SELECT count(*) FROM jobs WHERE deleted_at IS NULL")
        kept = sum(not job.is_deleted for job in self._all)
        if rows != kept:
            broken.append(f"There are {rows} jobs; games have asked for {kept}.")
        return broken

    def _check(self, job: Soaked) -> None:
        assert job.follower.wait_for_the_end(FOLLOW_SECONDS), "Its game was not told of the end."
        ((state,),) = self._rig.query("SELECT state FROM jobs WHERE run_id = %s", job.run_id)
        expected = state if state in job.allowed else " or ".join(sorted(job.allowed))
        invariants.ended_once(self._rig, job.run_id, expected, job.requests)
        invariants.was_told_everything(self._rig, job.follower)
        invariants.attempts_are_closed(self._rig, job.run_id, job.requests)
        if state == "SUCCEEDED":
            invariants.model_is_the_one(self._rig, job.follower)

    def _check_deleted(self, job: Soaked) -> None:
        """The sweeper removes its rows in a while."""
        for _ in range(FOLLOW_SECONDS):
            if not self._rig.query("SELECT 1 FROM jobs WHERE run_id = %s", job.run_id):
                return
            threading.Event().wait(1)
        raise AssertionError("It was deleted and is still there.")
