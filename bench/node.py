"""A node without trainings: claims jobs and reports metrics of them, at a steady rate, by the node's own code.

Its standard input is the plan as a line of JSON, then a line that lets it begin. `bench.live` starts several, each a
process of its own, as nodes are.
"""

import json
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.measure import SWITCH_SECONDS, paced
from node.central import Central
from node.config import Config
from node.report import EventSender, Reporter, Spool
from node.worker import create_worker

METRIC = {"kind": "metrics", "behaviour": "Reach1D", "mean_reward": 0.5, "std_reward": 0.1, "statistics": {}}


def main(plan: dict[str, Any]) -> None:
    """Reports until the plan is done and everything is confirmed."""
    celery = create_worker(Config(broker_url=plan["broker_url"], coordinator_url=plan["url"], node_token=plan["token"]))
    sys.setswitchinterval(SWITCH_SECONDS)
    central = Central(plan["url"], plan["token"])
    with tempfile.TemporaryDirectory() as folder:
        reporters = []
        for run_id in plan["run_ids"]:
            central.claim(run_id, 1, uuid4())
            reporters.append(Reporter(Spool(Path(folder) / run_id), EventSender(celery, run_id, 1)))
        print("ready", flush=True)
        sys.stdin.readline()  # all nodes begin together, after the last has started
        turn, step = cycle(reporters), iter(range(10**9))

        def say() -> None:
            next(turn).say(METRIC | {"step": next(step), "time_elapsed": time.perf_counter()})

        rate = plan["per_second"] * len(reporters)
        paced(say, rate * plan["seconds"], 1 / rate)
        for reporter in reporters:
            reporter.finish(30)


if __name__ == "__main__":
    main(json.loads(sys.stdin.readline()))
