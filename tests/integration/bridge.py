"""What a node's bridge does with the messages of builds: it publishes them, and keeps nothing."""

import itertools
from typing import Any, Self

from kombu import Exchange

from coordinator.broker import connection
from services.platform import Platform, wait_until
from tests.acceptance.viewers import Viewer
from wire.names import STATE_EXCHANGE


class Bridge:
    """Publishes states of runs, as a user who may speak for any; use as a context manager."""

    def __init__(self, platform: Platform) -> None:
        self._connection = connection(platform.env["BROKER_URL"])
        self._producer = self._connection.Producer(exchange=Exchange(STATE_EXCHANGE, type="topic", durable=True))
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.release()

    def say(self, run_id: str, *bodies: bytes, attempt: int = 1, instance: int = 0) -> None:
        """The build's own bytes."""
        headers = {"run_id": run_id, "attempt": attempt, "instance": instance}
        for body in bodies:
            self._producer.publish(body, routing_key=run_id, headers=headers, content_type="application/json",
                                   content_encoding="utf-8", delivery_mode="transient")  # fmt: skip

    def reach(self, run_id: str, *viewers: Viewer, attempt: int = 1) -> None:
        """Says something until every viewer has heard of it: from then on they are bound."""
        for viewer in viewers:
            wait_until(lambda viewer=viewer: self._is_heard(run_id, viewer, attempt), 30, "a state to reach a viewer")

    def _is_heard(self, run_id: str, viewer: Viewer, attempt: int) -> bool:
        before, mark = len(states_of(viewer)), f'{{"msg_id":4,"reach":{next(self._numbers)}}}'
        self.say(run_id, mark.encode(), attempt=attempt)
        with viewer.has_come:
            return viewer.has_come.wait_for(lambda: len(states_of(viewer)) > before, 0.2)


def states_of(viewer: Viewer) -> list[dict[str, Any]]:
    """What a viewer has got that was passed on."""
    return [message for message in list(viewer.messages) if message["msg_id"] in (1, 4)]
