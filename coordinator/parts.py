"""What an app is made of, found through the app: nothing is global, nothing is built at import time."""

from dataclasses import dataclass, field
from typing import cast

from flask import Flask

from .accounts.issuers.door import Issuers
from .config import Config
from .environments import Catalogue
from .limiting.limits import Limits
from .limiting.meters import Meters
from .live.bus import Publisher
from .live.hub import Hub
from .live.service import Live
from .storage import Storage

_KEY = "train-jobs"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one app."""

    config: Config
    storage: Storage
    catalogue: Catalogue
    hub: Hub
    live: Live
    publisher: Publisher
    issuers: Issuers
    limits: Limits
    meters: Meters = field(default_factory=Meters)

    def install(self, app: Flask) -> None:
        app.extensions[_KEY] = self


def parts(app: Flask) -> Parts:
    """The parts of an app, or of `current_app`."""
    return cast(Parts, app.extensions[_KEY])
