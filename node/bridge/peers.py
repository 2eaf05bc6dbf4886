"""Whose connection it is: from the peer's port to its socket, to the process that holds it, to that process's mark."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from node.shim import marks

Address = tuple[str, int]
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
MAPPED = "0000000000000000FFFF0000"  # an IPv4 address within IPv6, as programs with one socket for both use it


def mark_of(peer: Address, ours: Address) -> str | None:
    """The mark of the process at the other end of a connection on this machine, or None for a stranger."""
    lines = (line for table in TABLES for line in _lines(table))
    inode = inode_of(lines, peer, ours)
    return next((mark for pid, mark in marks() if holds(pid, inode)), None) if inode else None


def inode_of(lines: Iterable[str], local: Address, remote: Address) -> str | None:
    """The socket between these two addresses (IPv4), by its line in the kernel's tables."""
    ends = {f"{prefix}{_hex(local)} {prefix}{_hex(remote)}" for prefix in ("", MAPPED)}
    for line in lines:
        columns = line.split()
        if " ".join(columns[1:3]) in ends and columns[9] != "0":
            return columns[9]
    return None


def holds(pid: int, inode: str) -> bool:
    """Whether the process has that socket open. One that has gone holds nothing."""
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        return any(_target(f"{folder}/{number}") == f"socket:[{inode}]" for number in os.listdir(folder))
    return False


def _target(link: str) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(link)
    return ""


def _lines(table: str) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(table).read_text(encoding="ascii").splitlines()[1:]
    return []  # this machine has no IPv6


def _hex(address: Address) -> str:
    """As the kernel prints it: the address as a number of this machine's byte order."""
    number = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
    return f"{number:08X}:{address[1]:04X}"
