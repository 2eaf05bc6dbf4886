"""Turns at what is heavy for a moment: on this machine no more at a time than it has cores."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

from node.capacity import cores

LOOK_S = 0.05


@contextlib.contextmanager
def turn(name: str, until: float, enough: Callable[[], bool] = lambda: False) -> Iterator[bool]:
    """A turn, held until the block or the process ends; False where none came before `until` (monotonic seconds), or
    before there was enough of waiting."""
    with contextlib.ExitStack() as held:
        while not (has_turn := any(_take(held, f"\0train-jobs/{name}/{number}") for number in range(cores()))):
            if time.monotonic() >= until or enough():
                break
            time.sleep(LOOK_S)
        yield has_turn


def _take(held: contextlib.ExitStack, name: str) -> bool:
    """A socket that is nothing but a name: the kernel gives it to one process, and frees it when that ends."""
    place = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        place.bind(name)
    except OSError:
        place.close()
        return False
    held.enter_context(place)
    return True
