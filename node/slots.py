"""The slots of this node: each running training holds one, and with it its part of the devices."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def hold_slot(folder: Path) -> Iterator[int]:
    """The lowest number, from 0 up, that no other training of this node holds, until the block or the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        yield next(slot for slot in itertools.count() if _lock(held.enter_context((folder / f"{slot}.lock").open("w"))))


def device_of(slot: int, devices: Sequence[str]) -> str:
    """Slots take the devices in turn: with fewer devices than slots, several trainings share one."""
    return devices[slot % len(devices)]


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
