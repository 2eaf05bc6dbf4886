"""Fetches one large file by its link, in little memory: a broken transfer goes on where it broke."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import requests

from .central import CONNECT_SECONDS, Away, download

log = logging.getLogger(__name__)
CHUNK = 64 * 1024
SILENCE_SECONDS = 15
"""Longest silence of S3 within a transfer: short, for the next one goes on where this one broke."""
PATIENCE_SECONDS = 900.0
"""How long a fetch may go without a single new byte."""
LONGEST_PAUSE_SECONDS = 10.0
LOOK_SECONDS = 0.2
TRIES = 3
EXPIRED = (400, 401, 403)


class StopFlag(Protocol):
    """What is asked of the stop flag; a threading.Event will do."""

    def is_set(self) -> bool: ...


class Stopped(Exception):
    """The attempt is to stop, before it has begun to train."""


class Damaged(Exception):
    """What came is not what its SHA-256 promises, and was not the times before either."""


class LinkExpired(Exception):
    """S3 does not take the link (any more)."""


@dataclass(frozen=True, slots=True)
class Source:
    """An archive in S3: `url` is a presigned link, `renew` asks for a fresh one (raising Away or Refused)."""

    sha256: str
    size: int
    url: str
    renew: Callable[[], str]
    unpacked_size: int = 0
    """Of what is in it; 0 where nobody has said."""


def fetch(source: Source, path: Path, stop: StopFlag) -> None:
    """Completes the file at `path`, which may hold its beginning. Raises Stopped, Damaged, Refused, Away or OSError."""
    for _ in range(TRIES):
        _complete(source, path, stop)
        if _digest(path, stop) == source.sha256:
            return
        path.unlink()
    raise Damaged(f"It was fetched {TRIES} times, and is not what its SHA-256 promises.")


def wait(seconds: float, stop: StopFlag) -> None:
    """A pause. Raises Stopped as soon as the attempt is to stop."""
    until = time.monotonic() + seconds
    while True:
        if stop.is_set():
            raise Stopped
        if (left := until - time.monotonic()) <= 0:
            return
        threading.Event().wait(min(left, LOOK_SECONDS))


def fetch_checkpoint(link: str, sha256: str, path: Path, stop: StopFlag) -> None:
    """Insists for as long as the link can be good. Raises Stopped, and Away: another attempt has another link."""
    pause, until = 0.5, time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return download(link, sha256, path, lambda: wait(0, stop))
        except Away as error:
            log.warning("A checkpoint cannot be fetched yet: %s", error)
            if time.monotonic() > until:
                raise
        wait(pause, stop)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _complete(source: Source, path: Path, stop: StopFlag) -> None:
    link, pause, heard = source.url, 0.5, time.monotonic()
    while (have := _size(path)) < source.size:
        try:
            _transfer(link, path, have, source.size, stop)
        except LinkExpired:
            link = _renewed(source, link)
        except Away as error:
            log.warning("A build comes slowly, %d of %d bytes: %s.", _size(path), source.size, error)
        if _size(path) > have:
            pause, heard = 0.5, time.monotonic()
            continue
        if time.monotonic() > heard + PATIENCE_SECONDS:
            raise Away("storage gave nothing of the build for a quarter of an hour")
        wait(pause, stop)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _renewed(source: Source, link: str) -> str:
    try:
        return source.renew()
    except Away as error:
        log.warning("No fresh link yet: %s.", error)
        return link


def _transfer(link: str, path: Path, have: int, size: int, stop: StopFlag) -> None:
    """Appends what comes, up to `size`. Raises Away where it breaks."""
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    try:
        with requests.get(link, headers=headers, stream=True, timeout=(CONNECT_SECONDS, SILENCE_SECONDS)) as answer:
            start = _start_of(answer, have)
            with path.open("r+b" if have else "wb") as file:
                file.truncate(start)
                file.seek(start)
                for chunk in answer.iter_content(CHUNK):
                    if stop.is_set():
                        raise Stopped
                    file.write(chunk[: size - file.tell()])
                    if file.tell() >= size:
                        return
    except requests.RequestException as error:
        raise Away(f"S3 does not answer: {type(error).__name__}") from error


def _start_of(answer: requests.Response, have: int) -> int:
    """Where in the file the answer's bytes belong."""
    if answer.status_code in EXPIRED:
        raise LinkExpired
    if answer.ok and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        return have  # whatever the status: rclone's S3 gives a part and calls it 200
    if answer.status_code == 200 and "Content-Range" not in answer.headers:
        return 0  # this server knows no ranges
    raise Away(f"S3 answers with status {answer.status_code}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path, stop: StopFlag) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if stop.is_set():
                raise Stopped
            digest.update(chunk)
    return digest.hexdigest()
