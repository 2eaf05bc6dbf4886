"""Whose connection it is: from two ports to a marked process, over sockets of IPv4 and of both kinds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from node.bridge.peers import inode_of, mark_of
from node.shim import MARK

CONNECT = """
import socket, sys
family, host, port = sys.argv[1:]
line = socket.socket(getattr(socket, family))
line.connect((host, int(port)))
print(*line.getsockname()[:2], flush=True)
sys.stdin.read()
"""
LINE = "   1: 0100007F:{:04X} 0100007F:1F40 01 00000000:00000000 00:00000000 00000000     0        0 {} 1 0 20 4 30 10"


@pytest.mark.parametrize(("family", "host"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::ffff:127.0.0.1")])
@pytest.mark.parametrize("mark", ["", "0123456789abcdef"])
def test_a_connection_leads_to_the_mark_of_its_process(family: str, host: str, mark: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-c", CONNECT, family, host, str(port)]
        environ = {**os.environ, **({MARK: mark} if mark else {})}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as build:
            assert build.stdout
            if not build.stdout.readline():
                pytest.skip("this machine has no IPv6")
            line, peer = server.accept()
            with line:
                assert mark_of(peer, line.getsockname()) == (mark or None)
            assert build.stdin
            build.stdin.close()


def test_a_connection_of_nobody_is_a_strangers() -> None:
    assert mark_of(("127.0.0.1", 1), ("127.0.0.1", 8000)) is None


@pytest.mark.skipif(sys.byteorder != "little", reason="the lines are those of a little-endian machine")
def test_only_the_very_connection_counts() -> None:
    lines = [LINE.format(5001, 11), LINE.format(5000, 0), LINE.format(5000, 12), LINE.format(5000, 13)]
    assert inode_of(lines, ("127.0.0.1", 5000), ("127.0.0.1", 8000)) == "12"
    assert inode_of(lines, ("127.0.0.2", 5000), ("127.0.0.1", 8000)) is None
    assert inode_of(lines, ("127.0.0.1", 5000), ("127.0.0.1", 8001)) is None
