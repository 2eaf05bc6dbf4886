"""Records episodes of a running attempt, within its policy, as pieces that the node uploads while it trains."""

import logging
import time
from pathlib import Path
from typing import Self

from wire.codec import NotAMessage, decode, encode

from .attempts import RECORDING, Attempt
from .episodes import EpisodeRule
from .pieces import Piece, finish_left
from .words import Word

log = logging.getLogger(__name__)
TOTALS = "recorded.json"
"""How many episodes and bytes there were so far, beside the folder of the pieces."""
PIECE_BYTES, PIECE_SECONDS = 256 * 1024, 5.0
"""A piece ends with the episode in which it becomes as large or as old as this."""
EPISODE_BYTES, PIECE_MESSAGES, PIECE_EPISODES = 16 * 2**20, 10_000, 500
"""Longer episodes are cut; what is in a piece must fit into the message that tells of it."""


class Recording:
    """Of one attempt: counts episodes and bytes over all its connections and over restarts of the bridge."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self._totals = attempt.folder / TOTALS
        self.episodes, self.bytes = _totals(self._totals)
        self._is_full = False

    def next_number(self) -> int:
        """Of the episode that begins now; counted from 1."""
        self.episodes += 1
        return self.episodes

    def wants(self, number: int) -> bool:
        """Whether that episode is to be recorded."""
        every = self.attempt.every
        return bool(every) and not self._is_full and (number - 1) % every == 0

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more are allowed. After the first no, nothing is recorded any more."""
        if not self._is_full and self.bytes + size > self.attempt.max_bytes:
            self._is_full = True
            log.info("The recording of run %s is full: %s bytes in %s episodes.", self.attempt.run_id, self.bytes,
                     self.episodes)  # fmt: skip
        return not self._is_full

    def give_up(self, error: OSError) -> None:
        """The disk does not take it."""
        self._is_full = True
        log.error("Run %s is not recorded any more: %s", self.attempt.run_id, error)

    def save(self) -> None:
        """For a bridge that is started after this one."""
        _save(self._totals, self.episodes, self.bytes)


def _totals(file: Path) -> tuple[int, int]:
    try:
        its = decode(file.read_bytes())
        return int(its["episodes"]), int(its["bytes"])
    except (OSError, NotAMessage, KeyError):
        return 0, 0


def _save(file: Path, episodes: int, size: int) -> None:
    draft = file.with_suffix(".part")
    draft.write_text(encode({"episodes": episodes, "bytes": size}), encoding="utf-8")
    draft.replace(file)


class Track:
    """What one connection adds to the recording. Use as a context manager: at its end the last piece is finished."""

    def __init__(self, recording: Recording, instance: int) -> None:
        self._recording, self._instance = recording, instance
        self._rule = EpisodeRule()
        self._piece: Piece | None = None
        self._is_recorded = False
        self._marker = recording.attempt.recording / f"open-{instance}"

    def __enter__(self) -> Self:
        try:
            self._marker.parent.mkdir(parents=True, exist_ok=True)
            self._marker.touch()
        except OSError as error:
            self._recording.give_up(error)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._finish()
            self._marker.unlink(missing_ok=True)
        except OSError as error:
            self._recording.give_up(error)

    def take(self, word: Word) -> None:
        """One message, in order. Never raises: no training and no viewer depends on the recording."""
        try:
            if self._rule.begins(word):
                self._begin()
            if self._is_recorded and self._piece:
                self._add(self._piece, word.content)
        except OSError as error:
            self._recording.give_up(error)
            self._is_recorded = False

    def _begin(self) -> None:
        if self._piece and self._is_recorded:
            self._piece.end()
        if self._piece and self._is_due(self._piece):
            self._finish()
        number = self._recording.next_number()
        self._is_recorded = self._recording.wants(number)
        if self._is_recorded:
            self._open_episode(number)

    def _open_episode(self, number: int) -> None:
        self._open(number).begin(number, self._instance)
        self._began, self._episode_bytes = time.monotonic(), 0

    def _add(self, piece: Piece, content: bytes) -> None:
        size = len(content) + 2
        if not self._recording.has_room(size):
            self._is_recorded = False
            return self._finish()
        piece.add(content, round((time.monotonic() - self._began) * 1000))
        self._recording.bytes += size
        self._episode_bytes += size
        if self._episode_bytes >= EPISODE_BYTES or piece.contents.messages >= PIECE_MESSAGES:
            self._finish()  # the episode is too long for one piece: what follows is told as another
            self._open_episode(self._recording.next_number())
        return None

    def _open(self, number: int) -> Piece:
        if self._piece is None:
            self._piece = Piece(self._recording.attempt.recording, f"{number:07d}-{self._instance}")
            self._opened = time.monotonic()
            self._recording.save()
        return self._piece

    def _is_due(self, piece: Piece) -> bool:
        is_old = time.monotonic() - self._opened >= PIECE_SECONDS
        return is_old or piece.contents.size >= PIECE_BYTES or len(piece.contents) >= PIECE_EPISODES

    def _finish(self) -> None:
        piece, self._piece = self._piece, None
        if piece:
            piece.finish()
            self._recording.save()


def recover(attempts: Path) -> None:
    """Finishes what a bridge that was killed has left."""
    for folder in attempts.glob(f"*/{RECORDING}"):
        try:
            _recover(folder)
        except OSError as error:
            log.warning("The recording in %s can't be finished: %s", folder.parent.name, error)


def _recover(folder: Path) -> None:
    totals = folder.parent / TOTALS
    count, size = _totals(totals)
    for episode in finish_left(folder):
        count = max(count, episode["number"])
        size += episode["size"]
    _save(totals, count, size)
    for marker in folder.glob("open-*"):
        marker.unlink(missing_ok=True)
