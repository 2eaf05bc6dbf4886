"""Ports for trainers on a machine that others use too."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from node.ports import FIRST, LAST, NoPortLeft, hold_base_port

PROJECT = Path(__file__).parents[3]


def free_port() -> int:
    with hold_base_port() as port:
        return port


def test_two_trainings_never_get_the_same_port() -> None:
    port = free_port()
    with hold_base_port(first=port, last=port), pytest.raises(NoPortLeft), hold_base_port(first=port, last=port):
        pass


def test_a_port_can_be_had_again_after_its_training() -> None:
    port = free_port()
    for _ in range(2):
        with hold_base_port(first=port, last=port) as held:
            assert held == port


def test_a_port_that_a_stranger_uses_is_skipped() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(NoPortLeft), hold_base_port(first=port, last=port):
        pass


def test_ports_stay_out_of_the_systems_own_range() -> None:
    with hold_base_port(count=3) as port:
        assert FIRST <= port <= port + 2 <= LAST < 32_768


def test_a_killed_node_holds_nothing() -> None:
    program = "import sys, node.ports as p\nwith p.hold_base_port() as port: print(port, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        port = int(holder.stdout.readline())
        with pytest.raises(NoPortLeft), hold_base_port(first=port, last=port):
            pass
        holder.kill()
    with hold_base_port(first=port, last=port):
        pass
