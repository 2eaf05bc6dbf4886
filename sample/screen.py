"""Shows a training while it runs: a progress bar on a terminal, plain lines in a pipe."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from sample.training import Training

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 20
LINES = 10


class Screen(Protocol):
    """Something that can show how far a training is."""

    def show(self, training: Training) -> None:
        """Called after every message."""


class Lines:
    """A line a change of state, and about ten on the way."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.status = ""
        self.next_step = 0

    def show(self, training: Training) -> None:
        """Print what is new enough."""
        if training.status != self.status:
            self.status = training.status
            self.console.print(f"  {self.status}")
        if training.step >= self.next_step and training.reward is not None:
            self.next_step = training.step + training.steps // LINES
            left = f", about {training.seconds_left:.0f} s left" if training.seconds_left is not None else ""
            self.console.print(f"  step {training.step:,} of {training.steps:,}: reward {training.reward:.3f}{left}")


class Bar:
    """One live line: state, bar, steps, reward with its course, time."""

    def __init__(self, progress: Progress, training: Training) -> None:
        self.progress = progress
        self.task: TaskID = progress.add_task("", total=training.steps, steps="", reward="", left="")
        self.show(training)

    def show(self, training: Training) -> None:
        """Draw it anew."""
        reward = f"reward {training.reward:.2f} {sparkline(training.rewards)}" if training.reward is not None else ""
        left = f"{training.seconds_left:.0f} s left" if training.seconds_left is not None else ""
        steps = f"{training.step:,}/{training.steps:,} steps"
        self.progress.update(
            self.task,
            description=f"{training.status:<9}",
            completed=training.step,
            steps=steps,
            reward=reward,
            left=left,
        )


@contextmanager
def screen_for(training: Training, console: Console) -> Iterator[Screen]:
    """The screen that fits where the output goes."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (TextColumn("  {task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[steps]}"))
    more = (TextColumn("[green]{task.fields[reward]}"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, *more, console=console) as progress:
        yield Bar(progress, training)


def sparkline(values: list[float]) -> str:
    """The course of the values in a row of small blocks, from the lowest to the highest of them."""
    shown = values if len(values) <= WIDTH else [values[i * len(values) // WIDTH] for i in range(WIDTH)]
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    return "".join(BLOCKS[int((value - low) / span * (len(BLOCKS) - 1))] for value in shown)
