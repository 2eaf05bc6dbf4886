"""What is known of a training from its messages; the screens draw it, the summary tells it."""

import time
from dataclasses import dataclass, field

from sample.game import METRICS, STATUS, Message

FINAL = ("SUCCEEDED", "FAILED")


@dataclass
class Training:
    """One run, message by message."""

    steps: int
    status: str = "SUBMITTED"
    step: int = 0
    rewards: list[float] = field(default_factory=list)
    error: str = ""
    model: bytes = b""
    began: float = field(default_factory=time.monotonic)
    first_metric: tuple[float, int] | None = None

    def take(self, message: Message | bytes) -> None:
        """Note what a message says; unknown kinds are none of ours."""
        if isinstance(message, bytes):
            self.model = message
        elif message["msg_id"] == STATUS:
            self.status = message["status"]
            self.error = message.get("error", "")
        elif message["msg_id"] == METRICS:
            self.step = message["step"]
            self.rewards.append(message["mean_reward"])
            self.first_metric = self.first_metric or (time.monotonic(), self.step)

    @property
    def reward(self) -> float | None:
        """The last mean reward."""
        return self.rewards[-1] if self.rewards else None

    @property
    def seconds(self) -> float:
        """Since the submission."""
        return time.monotonic() - self.began

    @property
    def seconds_left(self) -> float | None:
        """At the speed since the first metric; the start of a trainer says nothing about it."""
        if self.first_metric is None or self.step <= self.first_metric[1]:
            return None
        began, first = self.first_metric
        return (time.monotonic() - began) / (self.step - first) * max(0, self.steps - self.step)

    @property
    def has_succeeded(self) -> bool:
        """Whether a model was trained, and came."""
        return self.status == "SUCCEEDED" and bool(self.model)

    def summary(self) -> str:
        """What was achieved, or why not, in a sentence."""
        if self.has_succeeded and self.rewards:
            return (
                f"Trained {self.step:,} steps in {self.seconds:.0f} s: the mean reward went from {self.rewards[0]:.2f} "
                f"to {self.rewards[-1]:.2f}. The model has {len(self.model):,} bytes."
            )
        if self.has_succeeded:
            return f"Trained in {self.seconds:.0f} s, too short for an episode to end. {len(self.model):,} bytes."
        return f"The training ended as {self.status} after {self.seconds:.0f} s: {self.error or 'no model came.'}"
