"""Starts ML-Agents in the trainer's Python: `python -m node.trainers.mlagents_launcher <mlagents-learn's arguments>`.

Needs nothing of ours there but PYTHONPATH. TRAINER_FACTS_FD names the descriptor for facts, TRAINER_THREADS the number
of torch's threads.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback

from node.trainers.facts import Facts
from node.trainers.mlagents_cures import cure_messages, cure_numpy, cure_torch
from node.trainers.mlagents_hooks import install
from node.trainers.stopping import StopRequest


def main() -> int:
    descriptor = os.environ.get("TRAINER_FACTS_FD")
    facts = Facts(int(descriptor) if descriptor else None)
    stop = StopRequest(lambda: facts.tell("alive"))
    stop.listen()
    try:
        _learn(facts, stop)
    except KeyboardInterrupt:
        stop.asked = True  # before there was anything to save
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        facts.tell_error(error)
        return 1
    facts.tell("interrupted" if stop.asked else "finished")
    return 0


def _learn(facts: Facts, stop: StopRequest) -> None:
    cure_numpy()
    cure_messages()
    cure_torch(int(os.environ.get("TRAINER_THREADS", "1")))
    install(facts, stop)
    importlib.import_module("mlagents.trainers.learn").main()


if __name__ == "__main__":
    sys.exit(main())
