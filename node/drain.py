"""How this node is to end, once somebody has said so: its machine with a signal, or the coordinator with its answer to
a hello. From then on the node takes nothing new; its trainings go on to their end, or save and hand over.
"""

import mmap
import signal
import threading
from uuid import uuid4

from wire.jobs import DRAINS

from .lease import Stop

FINISH, HAND_OVER = DRAINS
LOOK_SECONDS = 0.1


class Drain:
    """The wish, in a byte of memory that all processes of the node share: Celery forks those that train. So a training
    hears of it whatever it waits for, and none is missed that is just being started."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)
        self.life = uuid4()
        """Of the node's program: what the coordinator was asked for one start is not meant for the next."""

    @property
    def how(self) -> str | None:
        """One of wire.jobs.DRAINS; None: nobody has said anything."""
        return (None, *DRAINS)[self._byte[0]]

    def ask(self, how: str) -> None:
        """Handing over cuts finishing short; nothing takes a wish back."""
        self._byte[0] = max(self._byte[0], 1 + DRAINS.index(how))

    def follow(self, stop: Stop, usual: str) -> None:
        """For the process of one training, from its first moment: it is asked to stop when it is to hand over.

        A SIGTERM may come to the whole group of the node's processes. This one must outlive it, for it has something
        to hand in, now or at the end of its training; `usual` says which.
        """
        threading.Thread(target=self._watch, args=(stop,), name="drain", daemon=True).start()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: stop.ask(Stop.SHUTDOWN) if usual == HAND_OVER else None)

    def _watch(self, stop: Stop) -> None:
        while self.how != HAND_OVER:
            threading.Event().wait(LOOK_SECONDS)
        stop.ask(Stop.SHUTDOWN)
