"""The moments in a job's life at which something is hit: how a job is brought there, and what holds it there."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from services.platform import wait_until
from tests.faults.follower import Follower
from tests.faults.rig import LINGERING, LONG, QUICK, REAL, STUB, Rig
from tests.faults.witness import found

REACH_SECONDS = 60
Release = Callable[[], None]


@dataclass(frozen=True)
class Moment:
    """`hold` keeps jobs from going on; its value lets them go."""

    name: str
    jobs: int
    """For two nodes of one slot each."""
    steps: int
    is_reached: Callable[[Rig, str], bool]
    hold: Callable[[Rig], AbstractContextManager[Release]] = lambda rig: nullcontext(lambda: None)
    env_id: str = STUB
    checkpoint_interval: int = QUICK
    """As many as the steps of a quick one: no checkpoint is on its way beside what is looked at."""

    def submit(self, rig: Rig) -> list[Follower]:
        """The jobs, as many as there are to be."""
        if rig.trainer == REAL:
            areas = {"agent_id": "1", "env_id": "reach1d", "num_of_areas": 8}
            every = {"checkpoint_interval": 1_000, "hyperparameters": {"summary_freq": 500}}
            return [rig.submit(steps=3_000, env_config=areas, **every)]
        every = {"checkpoint_interval": self.checkpoint_interval}
        return [rig.submit(self.env_id, self.steps, **every) for _ in range(self.jobs)]

    def wait(self, rig: Rig, followers: list[Follower]) -> None:
        """Until the jobs that can be there are there."""
        going = followers[: len(rig.nodes)]
        for follower in going:
            wait_until(lambda its=follower: self.is_reached(rig, its.run_id), REACH_SECONDS, f"a job {self.name}")


def _is_published(rig: Rig, run_id: str) -> bool:
    """The message is with the broker, or with a node that cannot claim it."""
    sent = "SELECT 1 FROM outbox WHERE run_id = %s AND task = 'train.run' AND sent_at IS NOT NULL"
    return bool(rig.query(sent, run_id)) and not rig.query("SELECT 1 FROM attempts WHERE run_id = %s", run_id)


def _is_training(rig: Rig, run_id: str) -> bool:
    return bool(rig.query("SELECT 1 FROM metrics WHERE run_id = %s LIMIT 1", run_id))


def _has_written_its_model(rig: Rig, run_id: str) -> bool:
    return any(found(folder, "training/results/*/*.onnx") for folder in rig.attempts_of(run_id))


def _is_trained(rig: Rig, run_id: str) -> bool:
    """The trainer has gone, with its processes; what it has achieved is ready on the node, its files too."""
    return any((folder / "achieved.json").exists() for folder in rig.attempts_of(run_id))


def _is_ending(rig: Rig, run_id: str) -> bool:
    """The outcome is recorded, and `results` is at work on the end of the attempt."""
    ending = "SELECT 1 FROM attempts WHERE run_id = %s AND outcome IS NOT NULL AND ended_at IS NULL"
    waiting = "SELECT 1 FROM pg_locks WHERE relation = 'artifacts'::regclass AND NOT granted"
    return bool(rig.query(ending, run_id)) and bool(rig.query(waiting))


BEFORE = Moment("before the claim", 3, QUICK, _is_published, Rig.no_claims)
TRAINING = Moment("while training", 2, LONG, _is_training, checkpoint_interval=2_000)
OUTCOME = Moment("at the outcome", 2, QUICK, _is_trained, Rig.no_uploads)
WRITTEN = Moment("at the outcome", 2, QUICK, _has_written_its_model, env_id=LINGERING)
"""The same for the trainer and its processes, which are there no longer when it has ended."""
ENDING = Moment("during finalisation", 2, QUICK, _is_ending, Rig.no_endings)
MOMENTS = tuple(moment.name for moment in (BEFORE, TRAINING, OUTCOME, ENDING))
