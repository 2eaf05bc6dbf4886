"""Celery's signals on a node: once it is ready, the coordinator is told what it has, and leftovers are ended."""

import logging
import threading
from typing import Any

from celery import Celery, signals

from .bridge.keeper import Keeper
from .central import Away, Central, Refused
from .config import Config
from .handed import Handed
from .intake import Intake
from .inventory import Inventory
from .leftovers import clear

log = logging.getLogger(__name__)
HELLO_SECONDS, AWAY_SECONDS = 5.0, 1.0


def connect(celery: Celery, config: Config) -> None:
    """Connects everything to the worker that is about to start."""
    intake, bridge = Intake(), Keeper(config)
    intake.connect(celery)

    @signals.worker_init.connect(weak=False)
    def begin(**_: Any) -> None:
        bridge.start()

    @signals.worker_shutdown.connect(weak=False)
    def end(**_: Any) -> None:
        bridge.stop()

    @signals.worker_ready.connect(weak=False)
    def ready(**_: Any) -> None:
        threading.Thread(target=_greet, args=(config, intake), name="hello", daemon=True).start()
        threading.Thread(target=Handed(config).run, name="handed", daemon=True).start()
        threading.Thread(target=clear, args=(celery, config), name="leftovers", daemon=True).start()


def _greet(config: Config, intake: Intake) -> None:
    central, inventory = Central(config.coordinator_url, config.node_token), Inventory(config)
    pause = threading.Event()
    while True:
        seconds = HELLO_SECONDS
        try:
            _hello(central, inventory, intake, config.node_slots)
        except Away as error:
            log.warning("The coordinator is away: %s", error)
            seconds = AWAY_SECONDS
        except Refused as error:
            log.error("The coordinator refuses this node: %s", error)
        except Exception:  # whatever it is, a node that says nothing gets no trainings
            log.exception("This node could not say hello.")
        pause.wait(seconds)


def _hello(central: Central, inventory: Inventory, intake: Intake, slots: int) -> None:
    has = inventory.take()
    if has.full != intake.full:
        log.warning(has.full or "There is room again: new trainings are taken.")
    intake.full = has.full
    queues = central.hello(slots, has)
    if queues is not None:
        intake.queues = frozenset(queues)
