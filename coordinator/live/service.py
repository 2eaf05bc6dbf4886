"""The live part of one web process: its hub, the listener that feeds it, and the watch over what the fanout lost."""

import logging
import threading
from collections.abc import Callable
from uuid import UUID

from ..broker import Connect, read_every_message
from ..pulses import BEAT_SECONDS
from .bus import Listener
from .hub import Hub
from .states import Genuine, StateListener
from .subscription import Place

log = logging.getLogger(__name__)
CHECK_SECONDS = 5.0


class Live:
    """Started once in each web process, after the fork."""

    def __init__(self, connect: Connect, hub: Hub, beat: Callable[[], None],
                 newest: Callable[[list[UUID]], dict[UUID, int]],
                 newest_logs: Callable[[list[UUID]], dict[UUID, Place]], is_genuine: Genuine) -> None:  # fmt: skip
        self.hub = hub
        self._connect = connect
        self._beat = beat
        """The web's sign of life."""
        self._newest = newest
        """Reads the newest event number of jobs."""
        self._newest_logs = newest_logs
        """Reads where the log of each job's current attempt ends."""
        self._is_genuine = is_genuine
        self._stopped = threading.Event()

    def start(self) -> None:
        """From now on the hub is fed."""
        read_every_message()
        threading.Thread(target=self._listen, name="fanout-listener", daemon=True).start()
        threading.Thread(target=self._listen_to_states, name="states-listener", daemon=True).start()
        threading.Thread(target=self._check, name="fanout-check", daemon=True).start()
        threading.Thread(target=self._keep_beating, name="pulse", daemon=True).start()

    def stop(self) -> None:
        """Every socket says good-bye; their clients come back with `after`."""
        self._stopped.set()
        self.hub.drain()

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                Listener(self._connect, self.hub).run()
            except Exception as error:  # not the broker's absence, which the listener waits out by itself
                log.exception("The fanout's listener starts again: %s", error)
                self._stopped.wait(1)

    def _listen_to_states(self) -> None:
        StateListener(self._connect, self.hub, self._is_genuine).run(self._stopped)

    def _keep_beating(self) -> None:
        while not self._stopped.is_set():
            try:
                self._beat()
            except Exception as error:  # PostgreSQL is away, and a missing beat says just that
                log.warning("The web is cut off from its record: %s", error)
            self._stopped.wait(BEAT_SECONDS)

    def _check(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            try:
                if watched := self.hub.watched():
                    self.hub.check(self._newest(watched))
                if run_ids := self.hub.log_watched():
                    self.hub.check_logs(self._newest_logs(run_ids))
            except Exception as error:  # PostgreSQL is away: the next check finds what was missed
                log.warning("The record could not be compared with the fanout: %s", error)
