"""A client that never reads again is forgotten, by the web process and by the kernel."""

import json
from pathlib import Path
from typing import Any

from services.platform import Platform, wait_until
from services.proc import pids_with_parent
from tests.integration.live import connect, farewell, new_run, watch
from tests.integration.test_slow_readers import BIG_MODEL, TINY, is_let_go
from tests.stub_node import StubNode

READERS = 10


def test_who_never_reads_again_is_forgotten_in_bounded_time(platform: Platform, stub_node: StubNode) -> None:
    run_id, linger = new_run(platform), float(platform.env["SOCKET_LINGER_SECONDS"])
    stub_node.train(run_id, model=BIG_MODEL)
    watch(platform, run_id).finish()
    (worker,) = pids_with_parent(platform.process("web").pid or 0)
    before = open_files(worker)
    stopped = [connect(platform, platform.token, sockopt=TINY) for _ in range(READERS)]
    for one in stopped:
        one.send(json.dumps({"run_id": run_id}))
    wait_until(lambda: all(is_let_go(one.sock) for one in stopped), 30, "the server to give up on all")
    assert open_files(worker) >= before + READERS, "who is let go may still read on"
    wait_until(lambda: open_files(worker) < before + READERS, 2 * linger, "the process to forget them")
    wait_until(lambda: not any(is_known(one.sock) for one in stopped), 2 * linger, "the kernel to forget them")
    assert farewell(stopped[0])[1] == 1006


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def is_known(its: Any) -> bool:
    """Whether the far end still has the connection."""
    ends = f":{its.getpeername()[1]:04X}", f":{its.getsockname()[1]:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any((line[1][8:], line[2][8:]) == ends for line in lines)
