"""Base ports for trainers: held against the other trainings of this machine, and free of strangers when handed out."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

FIRST, LAST = 21_000, 29_999  # below 32768, where the system starts handing out ports of its own


class NoPortLeft(Exception):
    """Every port of the range is held or in use."""


@contextlib.contextmanager
def hold_base_port(count: int = 1, first: int = FIRST, last: int = LAST) -> Iterator[int]:
    """A base port whose `count` ports (base, base + 1, ...) nobody on this machine uses, held until the block ends.

    Raises NoPortLeft. The holds end with this process, however it ends.
    """
    with contextlib.ExitStack() as holds:
        yield _take(holds, count, first, last)


def _take(holds: contextlib.ExitStack, count: int, first: int, last: int) -> int:
    bases = list(range(first, last - count + 2, count))
    offset = random.randrange(len(bases)) if bases else 0  # noqa: S311  spreads the choice, so that closing ports can rest
    for base in bases[offset:] + bases[:offset]:
        with contextlib.ExitStack() as mine:
            if all(_hold(mine, port) and is_free(port) for port in range(base, base + count)):
                holds.enter_context(mine.pop_all())
                return base
    raise NoPortLeft(f"All ports from {first} to {last} are in use on this machine.")


def _hold(holds: contextlib.ExitStack, port: int) -> bool:
    """Takes a socket that is nothing but a name: the kernel gives it to one process and frees it when that ends."""
    lock = holds.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    try:
        lock.bind(f"\0train-jobs/port/{port}")
    except OSError:
        return False
    return True


def is_free(port: int) -> bool:
    """Whether a program could listen there now, on IPv4 and IPv6. A connection that is still closing counts as use."""
    return _can_bind(socket.AF_INET, port) and (not _has_ipv6() or _can_bind(socket.AF_INET6, port))


def _can_bind(family: socket.AddressFamily, port: int) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
