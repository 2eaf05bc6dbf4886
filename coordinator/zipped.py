"""A zip archive that is made while it is sent: of its members no more than a chunk is ever in memory."""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

EARLIEST = 1980  # what the format can say


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive; `read` begins to fetch it when its turn has come."""

    name: str
    written: datetime
    read: Callable[[], Iterator[bytes]]


class _Outlet:
    """What zipfile writes to: keeps only what is to be sent next. It can't be sought, so sizes follow the data."""

    def __init__(self) -> None:
        self._ready: list[bytes] = []
        self._written = 0

    def write(self, data: bytes) -> int:
        self._ready.append(bytes(data))
        self._written += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        ready, self._ready = b"".join(self._ready), []
        return ready


def zipped(members: Iterable[Member]) -> Iterator[bytes]:
    """The archive's bytes. Not deflated: models and logs are small, and a web process has many others to serve."""
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w") as archive:  # type: ignore[call-overload]
        for member in members:
            with archive.open(_entry(member), "w", force_zip64=True) as entry:
                for chunk in member.read():
                    entry.write(chunk)
                    yield outlet.take()
            yield outlet.take()
    yield outlet.take()


def _entry(member: Member) -> zipfile.ZipInfo:
    moment = member.written.timetuple()[:6]
    entry = zipfile.ZipInfo(member.name, moment if moment[0] >= EARLIEST else (EARLIEST, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    return entry
