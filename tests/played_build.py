"""Environment builds that are small programs: they carry a training's mark, connect to the bridge, say what they must.

Run as a program: `python -m tests.played_build URL`. Its standard input is a script, a JSON list a line:
["send", text, times, seconds between], ["bytes", size], ["big", size], ["raw", text], ["close"], ["listen"]. It prints
what it has done and what the bridge says, a JSON object a line.
"""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any, Self

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from node.shim import MARK


class PlayedBuild:
    """One such program as a test holds it. Use as a context manager."""

    def __init__(self, url: str, mark: str | None) -> None:
        environ = {**os.environ, **({MARK: mark} if mark else {})}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-m", __name__, url], stdin=pipe, stdout=pipe, text=True,
                                        env=environ)  # fmt: skip

    def do(self, *command: Any) -> Self:
        """The next line of its script."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self

    def heard(self) -> Any:
        """The next thing that it has heard; None when it has ended."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def farewell(self) -> Any:
        """How the bridge has ended the connection."""
        self.do("listen")
        while (said := self.heard()) is not None:
            if "code" in said:
                return said
        raise AssertionError("The build has ended, the connection had not.")

    def start(self) -> Self:
        """Connected, told its job, and ready."""
        assert json.loads(self.heard()["text"])["msg_id"] == "3"
        return self.do("send", "Instance: Start Training")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()


def main(url: str) -> None:
    """Plays the script, for a minute at most."""
    signal.alarm(60)
    try:
        with connect(url, max_size=None, ping_interval=None, compression=None, proxy=None) as socket:
            tell({"text": socket.recv()})
            for line in sys.stdin:
                perform(socket, *json.loads(line))
    except ConnectionClosed as closed:
        tell({"code": closed.rcvd and closed.rcvd.code, "reason": closed.rcvd and closed.rcvd.reason})
    except (OSError, EOFError, InvalidStatus) as error:
        tell({"error": str(error)})


def perform(socket: Any, command: str, what: Any = None, times: int = 1, pause: float = 0.0) -> None:
    """One line of the script. `%d` in a text becomes the number of the repetition."""
    if command == "close":
        socket.close()
    elif command == "listen":
        socket.recv()
    elif command == "send":
        for number in range(times):
            socket.send(what.replace("%d", str(number)))
            time.sleep(pause)
    elif command == "bytes":
        socket.send(bytes(what))
    elif command == "big":
        socket.send("x" * what)
    elif command == "raw":
        socket.socket.sendall(what.encode("latin-1"))
    tell({"done": command})


def tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
