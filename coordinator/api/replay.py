"""A recorded episode over the WebSocket: the build's messages in order, as fast as they once came or faster."""

import time
from collections.abc import Iterator

from simple_websocket import ConnectionClosed, Server

from .. import recordings
from ..extensions import db
from ..live.frames import text_frame
from ..parts import Parts
from .admission import Admission
from .framing import send_text
from .schemas import Hello

NAP_SECONDS = 1.0
"""How long at most nobody looks whether the viewer is still there and the process goes on."""


def replay(ws: Server, its: Parts, hello: Hello, admitted: Admission) -> bool:
    """Sends all of an episode; False where the process is to stop before that.

    Raises NotFound, Unavailable, and NotAuthenticated once the viewer's token is no longer good.
    """
    episode = recordings.episode_of(hello.run_id, hello.episode or 0, hello.attempt)
    times, place = list(episode.times_ms), (episode.key, episode.start, episode.size)
    db.session.remove()  # no connection to the database is kept for as long as an episode lasts
    began = time.monotonic()
    for at_ms, message in zip(times, recordings.messages_of(its.storage, *place), strict=False):
        due = began + at_ms / 1000 / hello.speed if hello.speed else began
        for _ in _waiting_until(due):
            if its.hub.draining:
                return False
            if not ws.connected:
                raise ConnectionClosed()
            admitted.check()
        send_text(ws, text_frame(message))
    return True


def _waiting_until(due: float) -> Iterator[None]:
    """Naps until then, at least a look around for each message."""
    yield
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(left, NAP_SECONDS))
        yield
