"""What an attempt hands in, as files on disk: kept until the coordinator has verified what was uploaded of them."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from wire.codec import NotAMessage, decode, encode
from wire.facts import KINDS, MAX_ARTIFACTS, Artifact, BadFact, Outcome

from .central import sha256_of
from .excerpt import bounded
from .trainers.base import Artifact as Found

log = logging.getLogger(__name__)
NEEDED = ("model", "checkpoint")
LOGS = ("log", "environment_log")
FILES, ACHIEVED = "files", "achieved.json"
PARCEL = (FILES, ACHIEVED, "lock")
"""What stays of an attempt's folder once it is handed in."""


class Parcel:
    """In an attempt's folder: the files under the names by which people download them, and `achieved.json`, the outcome
    as it is to be once all of them are stored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / FILES
        self._achieved = folder / ACHIEVED

    def pack(self, outcome: Outcome, found: Iterable[Found]) -> Outcome:
        """The outcome with its artifacts, model and checkpoint first. A file that can't be read is left out, unless it
        is one of these: then OSError is raised."""
        self.files.mkdir(parents=True, exist_ok=True)
        packed: dict[str, Artifact] = {}
        for it in sorted(found, key=lambda it: it.kind not in NEEDED):
            name = it.name or (it.path.name if it.kind == "tensorboard" else KINDS[it.kind])
            if len(packed) == MAX_ARTIFACTS or name in packed:
                continue
            try:
                packed[name] = self._add(name, it)
            except OSError as error:
                if it.kind in NEEDED:
                    raise
                log.warning("%s is not handed in: %s", name, error)
        achieved = replace(outcome, artifacts=tuple(packed.values()))
        self.achieve(achieved)
        return achieved

    def _add(self, name: str, it: Found) -> Artifact:
        path = bounded(it.path) if it.kind in LOGS else it.path
        second_name(path, self.path(name))
        step = it.manifest.get("step", it.manifest.get("steps"))
        return Artifact(it.kind, sha256_of(path), path.stat().st_size, dict(it.manifest), name, step)

    def path(self, name: str) -> Path:
        return self.files / name

    def achieve(self, outcome: Outcome) -> None:
        draft = self._achieved.with_suffix(".part")
        draft.write_text(encode(outcome.to_wire()), encoding="utf-8")
        draft.replace(self._achieved)

    def achieved(self) -> Outcome | None:
        """None where nothing was packed, or where it can't be read."""
        try:
            return Outcome.from_wire(decode(self._achieved.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (NotAMessage, BadFact, OSError) as error:
            log.error("What attempt %s achieved can't be read: %s", self.folder.name, error)
            return None


def second_name(path: Path, target: Path) -> None:
    """Of a file that does not change any more; a copy where the disk knows no second names. Raises OSError."""
    target.unlink(missing_ok=True)
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target.with_suffix(target.suffix + ".part"))
        target.with_suffix(target.suffix + ".part").replace(target)
