"""The Celery apps, each built when asked for: `-A celery_app` is the coordinator's, `-A celery_app:node` a node's.

A training node has neither Flask nor a database; the coordinator has no trainer.
"""

import os
import sys
from pathlib import Path
from typing import Any

# Celery imports this file from the working directory, which it then takes off the path again
sys.path.insert(0, str(Path(__file__).resolve().parent))


def __getattr__(name: str) -> Any:
    # Celery's command line has read BROKER_URL by itself, and would have it win over BROKER_URL_FILE
    os.environ.pop("CELERY_BROKER_URL", None)
    if name == "app":
        from coordinator.errors import BadConfiguration
        from coordinator.worker import create_worker

        try:
            made: Any = create_worker()
        except BadConfiguration as error:
            raise SystemExit(f"Error: {error}") from None
    elif name == "node":
        from node.worker import create_worker as create_node

        made = create_node()
    else:
        raise AttributeError(name)
    globals()[name] = made
    return made
