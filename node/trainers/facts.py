"""What a running trainer tells the node: JSON lines to an inherited file descriptor, one fact a line.

Runs in the trainer's Python. Kinds: connected, alive, waiting, metrics, checkpoint, broken, error, interrupted,
finished.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


class Facts:
    """The writing end. Never raises: a training goes on when nobody listens any more."""

    def __init__(self, descriptor: int | None) -> None:
        self.descriptor = descriptor
        if descriptor is not None:
            os.set_inheritable(descriptor, False)  # the environment has no business with it

    def tell(self, kind: str, **fields: Any) -> None:
        if self.descriptor is None:
            return
        line = json.dumps({"kind": kind, **fields}, default=str).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self.descriptor, line) :]
        except OSError as error:
            log.warning("The node no longer listens: %s", error)
            self.descriptor = None

    def tell_error(self, error: BaseException) -> None:
        """`cause` is told by an error that knows whose fault it is (TrainingRefused)."""
        cause = {"cause": error.cause} if hasattr(error, "cause") else {}
        self.tell("error", type=type(error).__name__, message=str(error)[:2000], **cause)


def finite(statistic: Mapping[str, float]) -> bool:
    return all(math.isfinite(number) for number in statistic.values())
