"""Celery's signals on a node: once it is ready, the coordinator is told what it has, and leftovers are handed in; once
it is told to end, its trainings are."""

import threading
from typing import Any

from celery import Celery, signals

from .bridge.keeper import Keeper
from .config import Config
from .drain import HAND_OVER, Drain
from .greeting import Greeting
from .handed import Handed
from .intake import Intake
from .leftovers import clear, end_processes


def connect(celery: Celery, config: Config, drain: Drain) -> None:
    """Connects everything to the worker that is about to start."""
    intake, bridge = Intake(drain), Keeper(config)
    intake.connect(celery)

    @signals.worker_init.connect(weak=False)
    def begin(**_: Any) -> None:
        end_processes(config)  # before the broker is asked for anything: it may be away for long
        bridge.start()

    @signals.worker_ready.connect(weak=False)
    def ready(**_: Any) -> None:
        threading.Thread(target=Greeting(config, intake, drain).run, name="hello", daemon=True).start()
        threading.Thread(target=Handed(config).run, name="handed", daemon=True).start()
        threading.Thread(target=clear, args=(celery, config), name="leftovers", daemon=True).start()

    @signals.task_failure.connect(weak=False)
    def process_died(**_: Any) -> None:
        """The training task never raises: its process has died, and left a folder as a killed node does."""
        threading.Thread(target=_hand_in, args=(celery, config), name="leftovers", daemon=True).start()

    @signals.worker_shutting_down.connect(weak=False)
    def told_to_end(**_: Any) -> None:
        drain.ask(HAND_OVER if drain.how else config.node_drain)  # whoever says it twice does not want to wait

    @signals.worker_shutdown.connect(weak=False)
    def end(**_: Any) -> None:
        bridge.stop()


def _hand_in(celery: Celery, config: Config) -> None:
    end_processes(config)
    clear(celery, config)
