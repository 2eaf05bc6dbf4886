"""Recorded episodes as a node describes them: the manifest beside each piece of a recording.

A piece is a JSON text sequence (RFC 7464): of each message a record separator, what the build sent, and a line feed.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from .facts import Artifact, BadFact, as_object, whole

BEGIN, END = b"\x1e", b"\n"
MAX_EPISODES = 10_000
LONGEST_MS = 31 * 24 * 3600 * 1000
LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Episode:
    """Where in its piece an episode lies (`start`, `size` in bytes), and when each message came, from its begin."""

    number: int
    instance: int
    start: int
    size: int
    times_ms: tuple[int, ...]
    began_at: datetime
    is_complete: bool

    @classmethod
    def from_wire(cls, message: Any) -> Self:
        """Raises BadFact with a sentence for anything that is not one."""
        its = as_object(message, "An episode")
        return cls(
            _bounded(its.get("number"), "An episode's number", 1), _bounded(its.get("instance"), "instance"),
            _bounded(its.get("start"), "start", most=2**53), _bounded(its.get("size"), "size", 1, 2**53),
            _times(its.get("times_ms")), _moment(its.get("began_at")), its.get("is_complete") is True,
        )  # fmt: skip


def episodes_of(piece: Artifact) -> list[Episode]:
    """The episodes in a piece of a recording. Raises BadFact where its manifest cannot be true."""
    listed = piece.manifest.get("episodes")
    if not isinstance(listed, list) or len(listed) > MAX_EPISODES:
        raise BadFact(f"A recording's manifest must list its episodes, at most {MAX_EPISODES}.")
    episodes = [Episode.from_wire(one) for one in listed]
    if len({episode.number for episode in episodes}) != len(episodes):
        raise BadFact("A recording's manifest lists an episode twice.")
    for episode in episodes:
        if episode.start + episode.size > piece.size:
            raise BadFact(f"Episode {episode.number} ends after the {piece.size} bytes of its piece.")
        if episode.size < 2 * len(episode.times_ms):
            raise BadFact(f"Episode {episode.number} has too few bytes for {len(episode.times_ms)} messages.")
    return episodes


def messages(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The messages of a JSON text sequence that comes in chunks of any size, byte for byte.

    Within a JSON text there is no record separator; of line feeds only the last one is the sequence's.
    """
    rest = b""
    for chunk in chunks:
        *whole_ones, rest = (rest + chunk).split(BEGIN)
        yield from (one.removesuffix(END) for one in whole_ones if one)
    if rest:
        yield rest.removesuffix(END)


def _times(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        raise BadFact("An episode's times_ms must be a list with the time of each of its messages.")
    times = tuple(_bounded(time, "A time", most=LONGEST_MS) for time in value)
    if any(later < earlier for earlier, later in itertools.pairwise(times)):
        raise BadFact("An episode's times_ms must not go back.")
    return times


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadFact(f"began_at must be a time in ISO 8601, not {str(value)[:80]!r}.") from None
    if moment.tzinfo is None:
        raise BadFact("began_at must say its time zone.")
    return moment


def _bounded(value: Any, name: str, least: int = 0, most: int = LARGEST) -> int:
    if whole(value, name, least) > most:
        raise BadFact(f"{name} may be at most {most}, not {value}.")
    return int(value)
