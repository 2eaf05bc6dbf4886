"""The log of a job for one socket that asked for it: first the record, then live, no piece twice and none missing.

Pieces are numbered by their facts, so their numbers have gaps; each live one says the number of the one before it.
"""

from collections.abc import Callable, Iterator

from .subscription import Piece, Place, Subscription

Read = Callable[[Place], list[tuple[Place, str]]]
"""The next page of the record after a place."""


class LogStream:
    """What of the log one socket has sent. Subscribe before the first use."""

    def __init__(self, subscription: Subscription, attempt: int, read: Read) -> None:
        self._subscription, self._read = subscription, read
        self._go_to((attempt, 0))
        self._subscription.lose_log()  # begins with the record

    def due(self, *, to_the_end: bool = False) -> Iterator[str]:
        """Messages that are to be sent now; `to_the_end` everything that is in the record."""
        pieces = self._subscription.take_log()
        if pieces is None or to_the_end:
            yield from self._catch_up()
        for piece in pieces or ():
            if self._misses(piece):
                yield from self._catch_up()
            if piece.place > self._place:
                self._go_to(piece.place)
                yield piece.frame

    def _misses(self, piece: Piece) -> bool:
        """Whether something stands between the last one sent and this one."""
        attempt, n = self._place
        return piece.place > (attempt, n) and (piece.place[0] != attempt or piece.before > n)

    def _catch_up(self) -> Iterator[str]:
        while page := self._read(self._place):
            for place, frame in page:
                self._go_to(place)
                yield frame

    def _go_to(self, place: Place) -> None:
        self._place = self._subscription.log_place = place
