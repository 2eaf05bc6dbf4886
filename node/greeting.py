"""Says hello to the coordinator again and again, and does what is asked for in the answer: take from these queues,
check yourself, end."""

import logging
import time

from celery.platforms import EX_OK
from celery.worker import state

from .central import Away, Central, NotLetIn, Refused
from .config import Config
from .drain import Drain
from .intake import Intake
from .inventory import Inventory
from .selfcheck import SelfCheck

log = logging.getLogger(__name__)
HELLO_SECONDS, AWAY_SECONDS, LOOK_SECONDS = 5.0, 1.0, 0.2


class Greeting:
    """The thread that does so."""

    def __init__(self, config: Config, intake: Intake, drain: Drain) -> None:
        self._slots, self._intake, self._drain = config.node_slots, intake, drain
        self._central = Central.of(config)
        self._inventory = Inventory(config)
        self._self_check = SelfCheck(config, self._central)

    def run(self) -> None:
        """For as long as the program runs."""
        while True:
            seconds = HELLO_SECONDS
            try:
                self._hello()
            except (NotLetIn, Refused) as error:
                log.error("This node's hello is not taken: %s", error)
            except Away as error:
                log.warning("The coordinator is away: %s", error)
                seconds = AWAY_SECONDS
            except Exception:  # whatever it is, a node that says nothing gets no trainings
                log.exception("This node could not say hello.")
            self._pause(seconds)

    def _hello(self) -> None:
        has = self._inventory.take()
        if has.full != self._intake.full:
            log.warning(has.full or "There is room again: new trainings are taken.")
        self._intake.full = has.full
        welcome = self._central.hello(self._slots, has, self._drain.life, self._drain.how)
        if welcome.queues is not None:
            self._intake.queues = welcome.queues
        if welcome.check and not self._drain.how:
            self._self_check.ask()
        if welcome.drain:
            self._drain.ask(welcome.drain)

    def _pause(self, seconds: float) -> None:
        """Until the next hello: at once where the node has been told to end meanwhile. One that has ended its trainings
        then ends itself."""
        told, until = self._drain.how, time.monotonic() + seconds
        while time.monotonic() < until and self._drain.how == told:
            if told and not state.reserved_requests and state.should_stop is None:
                log.warning("This node has no training any more, and ends as it was told.")
                state.should_stop = EX_OK
            time.sleep(LOOK_SECONDS)
