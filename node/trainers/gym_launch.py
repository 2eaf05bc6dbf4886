"""How a launcher of a Gymnasium trainer runs and ends: `sys.exit(main(train))`. Runs in the trainer's Python."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from node.trainers.facts import Facts
from node.trainers.gym_session import Session
from node.trainers.stopping import StopRequest


def main(train: Callable[[Session], None]) -> int:
    """The exit code: 0 when the training came to its end or was stopped in order. The first argument is the order."""
    descriptor = os.environ.get("TRAINER_FACTS_FD")
    facts = Facts(int(descriptor) if descriptor else None)
    stop = StopRequest(lambda: facts.tell("alive"))
    stop.listen()
    try:
        interrupted = _run(train, facts, stop)
    except KeyboardInterrupt:
        interrupted = True  # before there was anything to save
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        facts.tell_error(error)
        return 1
    facts.tell("interrupted" if interrupted else "finished")
    return 0


def _run(train: Callable[[Session], None], facts: Facts, stop: StopRequest) -> bool:
    """Whether it was stopped before its end. Either way what there is has been saved."""
    torch.set_num_threads(int(os.environ.get("TRAINER_THREADS", "1")))
    session = Session(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), facts, stop)
    interrupted = False
    try:
        train(session)
    except KeyboardInterrupt:
        interrupted = True
    session.end()
    return interrupted
