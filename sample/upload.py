"""Uploads a build to the environment store and waits until it can be trained in. For people, and for a studio's CI.

    python -m sample.upload FOLDER_OR_ARCHIVE --env-id maze --version 1.2 [--url http://...] [--token ...]

Exit code 0: the version is READY. 1: a sentence says what is wrong.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from sample.game import detail
from sample.packing import CHUNK, Tell, archive_of, files_of, sha256_of

ANSWER_SECONDS, PART_SECONDS = 60.0, 300.0
TRIES, AT_ONCE = 6, 4
LOOK_SECONDS = 1.0
VERIFY_SECONDS = 3_600.0
Json = dict[str, Any]


class UploadError(Exception):
    """It cannot be uploaded; the message is a sentence."""


class Store:
    """The environment store of the coordinator at `url`."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/") + "/api/v1/environments"
        self.headers = {"Authorization": f"Bearer {token}"}

    def upload(self, archive: Path, wanted: Json, tell: Tell) -> Json:
        """The version as it is once all of the archive is there; `tell` hears of the bytes sent."""
        begun = self._ask("POST", "", wanted)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            tasks = [pool.submit(self._send, archive, begun, part, tell) for part in begun["parts"]]
            parts = [task.result() for task in tasks]
        return self._ask("POST", f"{self._path(begun)}/complete", {"parts": parts})

    def wait(self, version: Json) -> Json:
        """The version once it is verified. Raises UploadError with the sentence of one that was REJECTED."""
        deadline = time.monotonic() + VERIFY_SECONDS
        while version["state"] == "VERIFYING" and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            versions = self._ask("GET", f"/{version['env_id']}")["versions"]
            version = next(its for its in versions if its["version"] == version["version"])
        if version["state"] != "READY":
            raise UploadError(
                f"{version['env_id']} {version['version']} is {version['state']}. {version['error'] or ''}"
            )
        return version

    def _send(self, archive: Path, begun: Json, part: Json, tell: Tell) -> Json:
        """One part, with retries; a link that has expired is asked for anew."""
        number, size, link = part["number"], begun["part_size"], part["url"]
        for tries in range(1, TRIES + 1):
            with archive.open("rb") as file:
                piece = _Piece(file, (number - 1) * size, size, tell)
                try:
                    answer = requests.put(link, data=piece, timeout=PART_SECONDS)
                    if answer.status_code == requests.codes.ok:
                        return {"number": number, "etag": answer.headers["ETag"]}
                    problem = f"status {answer.status_code}: {answer.text[:200]}"
                except requests.RequestException as error:
                    problem = str(error)
                piece.take_back()
            if tries < TRIES:
                _pause(tries)
                link = self._ask("POST", f"{self._path(begun)}/parts", {"numbers": [number]})["parts"][0]["url"]
        raise UploadError(f"Part {number} cannot be sent to storage ({problem}).")

    def _path(self, version: Json) -> str:
        return f"/{version['env_id']}/versions/{version['version']}"

    def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """The coordinator's answer. One that is away for the moment is asked again."""
        for tries in range(1, TRIES + 1):
            try:
                answer = requests.request(
                    method, self.url + path, json=body, headers=self.headers, timeout=ANSWER_SECONDS
                )
                if answer.status_code == requests.codes.ok:
                    return dict(answer.json())
                problem = detail(answer)
                if answer.status_code < 500:
                    break
            except requests.RequestException as error:
                problem = f"The coordinator at {self.url} does not answer ({error})."
            if tries < TRIES:
                _pause(tries)
        raise UploadError(problem)


class _Piece:
    """A part of a file as requests sends it: read as it goes."""

    def __init__(self, file: BinaryIO, start: int, size: int, tell: Tell) -> None:
        self._file, self._tell, self._told = file, tell, 0
        whole = file.seek(0, os.SEEK_END)
        self._left = self._size = min(size, whole - start)
        file.seek(start)

    def __len__(self) -> int:
        return self._size

    def read(self, most: int = -1) -> bytes:
        chunk = self._file.read(min(self._left, CHUNK if most < 0 else most))
        self._left -= len(chunk)
        self._told += len(chunk)
        self._tell(len(chunk))
        return chunk

    def take_back(self) -> None:
        """None of it has arrived."""
        self._tell(-self._told)


def _pause(tries: int) -> None:
    time.sleep(min(2.0 ** (tries - 1), 20.0) * random.uniform(0.5, 1.0))  # noqa: S311


@contextmanager
def showing(console: Console) -> Iterator[Progress | None]:
    """Bars on a terminal; in a CI's log, lines."""
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("  {task.description:<9}"), BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        yield progress


def step(console: Console, progress: Progress | None, what: str, total: int) -> Tell:
    """Begins to show one step of so many bytes; what comes back hears of each few."""
    lock = Lock()
    if progress is None:
        console.print(f"  {what} {total / 1e6:,.1f} MB")
        return lambda count: None
    task = progress.add_task(what, total=total)

    def tell(count: int) -> None:
        with lock:
            progress.advance(task, count)

    return tell


def upload(options: argparse.Namespace, console: Console) -> Json:
    """All of it, shown. Raises UploadError, or OSError for a file that cannot be read."""
    source, store = Path(options.source), Store(options.url, options.token)
    if not source.exists():
        raise UploadError(f"There is no {source}.")
    said = manifest_of(source, options.manifest)
    wanted: Json = {"env_id": options.env_id or said.get("env_id"), "version": options.version or said.get("version")}
    if not all(wanted.values()):
        raise UploadError("Name the environment and its version: --env-id and --version, or in the manifest.")
    if options.manifest:
        wanted["manifest"] = said
    with showing(console) as progress:
        packing = step(console, progress, "packing", _size(files_of(source))) if source.is_dir() else lambda _: None
        with archive_of(source, packing) as archive:
            size = archive.stat().st_size
            digest = sha256_of(archive, step(console, progress, "hashing", size))
            version = store.upload(
                archive, wanted | {"size": size, "sha256": digest}, step(console, progress, "uploading", size)
            )
    console.print("  verifying")
    return store.wait(version)


def manifest_of(source: Path, given: str | None) -> Json:
    """The manifest that was named, or that of the folder; nothing is known of one inside of an archive."""
    path = Path(given) if given else source / "manifest.json"
    if not path.is_file():
        if given:
            raise UploadError(f"There is no {path}.")
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UploadError(f"{path} is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UploadError(f"{path} is no JSON object.")
    return found


def _size(paths: Iterable[Path]) -> int:
    return sum(path.lstat().st_size for path in paths)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m sample.upload", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", metavar="FOLDER_OR_ARCHIVE", help="a folder, which is packed, or a zip or tar")
    parser.add_argument("--env-id", help="the environment's name; left out, the manifest's")
    parser.add_argument("--version", help="of this build; left out, the manifest's")
    parser.add_argument("--manifest", help="a manifest.json that is not in the build")
    parser.add_argument("--url", default=os.environ.get("URL", "http://127.0.0.1:8080"), help="the coordinator's (URL)")
    parser.add_argument("--token", default=os.environ.get("TOKEN", ""), help="a user's token (TOKEN)")
    return parser.parse_args()


def main() -> int:
    """0 when the version is READY, 1 after a sentence that says why it is not."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        version = upload(parse(), console)
    except (UploadError, OSError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    console.print(f"  {version['env_id']} {version['version']} is READY: {version['files']} files, "
                  f"{version['unpacked_size'] / 1e6:,.1f} MB unpacked.")  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
