"""The fault matrix: which cells there are, why some cannot be, and how one is played."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults import invariants
from tests.faults.follower import Follower
from tests.faults.moments import BEFORE, ENDING, OUTCOME, TRAINING, WRITTEN, Moment
from tests.faults.rig import REAL, STUB, Rig
from tests.faults.victims import COMPONENTS, HITS, RESTART, SUPERVISED, find, hit
from tests.faults.victims import TRAINING as OF_A_TRAINING

END_SECONDS = 90
"""For all jobs of a cell to come to their ends after the hit."""
OF_A_NODE = ("node main", "pool child", *OF_A_TRAINING)


@dataclass(frozen=True)
class Cell:
    component: str
    hit: str
    moment: Moment
    trainer: str
    """With which it is played."""
    ends: str = "SUCCEEDED"
    """What a person would expect of the job that is hit; the others succeed."""

    @property
    def id(self) -> str:
        return "-".join((self.component, self.hit, self.moment.name)).replace(" ", "_")

    def play(self, rig: Rig) -> list[Follower]:
        """The games that watched, first that of the job that was hit. Raises AssertionError with what did not hold."""
        rig.forgive()
        with self.moment.hold(rig) as release:
            followers = self.moment.submit(rig)
            self.moment.wait(rig, followers)
            make_good = hit(find(rig, self.component, followers[0].run_id), self.hit)
            release()
            make_good()
        invariants.wait_for_the_ends(rig, followers, END_SECONDS)
        expected = [self.ends, *["SUCCEEDED"] * (len(followers) - 1)]
        invariants.check(rig, dict(zip(followers, expected, strict=True)))
        return followers


def all_cells() -> Iterator[Cell]:
    """In the order in which they are played: those with the same trainer one after another."""
    cells = [_cell(component, how, moment) for component in COMPONENTS for how in HITS for moment in
             (BEFORE, TRAINING, OUTCOME, ENDING) if why_not(component, how, moment.name) is None]  # fmt: skip
    yield from sorted(cells, key=lambda cell: cell.trainer, reverse=True)


def _cell(component: str, how: str, moment: Moment) -> Cell:
    if component in OF_A_TRAINING and moment is OUTCOME:
        moment = WRITTEN
    is_real = component in OF_A_NODE and moment in (TRAINING, OUTCOME)
    return Cell(component, how, moment, REAL if is_real else STUB)


def why_not(component: str, how: str, moment: str) -> str | None:
    """Why there cannot be such a cell, or None."""
    if how == RESTART and component not in SUPERVISED:
        return f"nobody restarts the {component} of a training"
    if component in OF_A_TRAINING and moment == BEFORE.name:
        return "there is no trainer yet, and no process of it"
    if component in OF_A_TRAINING and moment == ENDING.name:
        return "the trainer and its processes have ended"
    return None
