"""A server of one file by link, as S3 serves it, with the faults that a transfer may meet."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from node.fetch import Source


class Links:
    """Serves `content`; each request takes the next of `faults`: "expired", "damaged", "away", or how much it gives."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.faults: list[str | int] = []
        self.ranges: list[str | None] = []
        """What each request asked for."""
        self.status_of_parts: int | None = 206
        """None: this server knows no ranges."""
        self.renewed = 0
        self.held = threading.Event()
        """While it is clear, "waits" gives half of what is asked for and no more."""
        self.url = ""

    @property
    def source(self) -> Source:
        return Source(hashlib.sha256(self.content).hexdigest(), len(self.content), f"{self.url}/first", self._renew)

    def _renew(self) -> str:
        self.renewed += 1
        return f"{self.url}/renewed"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.ranges.append(wanted)
        wanted = wanted if self.status_of_parts else None
        fault = self.faults.pop(0) if self.faults else len(self.content)
        if fault in ("expired", "away"):
            request.send_error(403 if fault == "expired" else 503)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        rest = self.content[start:]
        request.send_response(self.status_of_parts or 200 if wanted else 200)
        request.send_header("Content-Length", str(len(rest)))
        if wanted:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.end_headers()
        self._give(request, rest, fault)

    def _give(self, request: BaseHTTPRequestHandler, rest: bytes, fault: str | int) -> None:
        if fault == "damaged":
            rest = bytes(byte ^ 1 for byte in rest[:1]) + rest[1:]
        if fault == "waits":
            request.wfile.write(rest[: len(rest) // 2])
            request.wfile.flush()
            self.held.wait(60)
            rest = rest[len(rest) // 2 :]
        request.wfile.write(rest[:fault] if isinstance(fault, int) else rest)
        request.close_connection = True


@contextmanager
def serve(content: bytes) -> Iterator[Links]:
    """The links, for as long as the block lasts."""
    links = Links(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            links.answer(self)

        def log_message(self, *_: object) -> None:
            """Nothing: the tests say what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    links.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield links
    links.held.set()
    server.shutdown()
    server.server_close()
