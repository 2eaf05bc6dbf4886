"""Hours of bad luck in minutes: jobs of all kinds and faults of all kinds at random, then quiet, then the invariants.

`python -m tests.faults.soak --minutes 10 --seed 7`. The same seed makes the same choices; when they fall, the machine
decides. Ends by itself: 0 when everything holds, 1 when something does not, with what and where the logs are. Ctrl-C
ends the faults at once, and then all the rest.
"""

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from services.platform import wait_until
from services.stack import Stack
from tests.faults import invariants
from tests.faults.rig import STUB, Rig
from tests.faults.soak_faults import Faults
from tests.faults.soak_jobs import Jobs

NODES = 3
LINE_SECONDS = 10
QUIET_SECONDS = 240
"""For everything that is under way when the faults end to come to its own end."""


def main() -> int:
    """One soak, from an empty folder to a verdict."""
    options = parse()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"Seed {options.seed}; logs are in {folder}.", flush=True)
    with Stack(folder / "services", environ={}) as stack, Rig(stack, folder / "rig", STUB, NODES) as rig:
        broken = soak(rig, options.minutes * 60, options.seed)
    for line in broken:
        print(f"✗ {line}")
    if not broken:
        shutil.rmtree(folder, ignore_errors=True)
    print("Everything holds." if not broken else f"Broken: {len(broken)}. The logs are in {folder}.")
    return 1 if broken else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for which there are faults and new jobs")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of all choices")  # noqa: S311
    return parser.parse_args()


def soak(rig: Rig, seconds: float, seed: int) -> list[str]:
    """What does not hold in the end, in sentences."""
    jobs, faults = Jobs(rig, random.Random(seed)), Faults(rig, random.Random(seed + 1))  # noqa: S311
    until = time.monotonic() + seconds
    try:
        live(jobs, faults, until)
    except KeyboardInterrupt:
        print("The faults end here.", flush=True)
    faults.end()
    print(f"Quiet: {jobs.line()} {faults.line()}", flush=True)
    broken = [*jobs.broken, *faults.broken, *come_to_rest(rig, jobs)]
    print(f"{jobs.summary()}\n{faults.summary()}", flush=True)
    return broken


def live(jobs: Jobs, faults: Faults, until: float) -> None:
    """Jobs and faults side by side, each at its own pace, until the time is over."""
    faulting = threading.Thread(target=faults.go_on, args=(jobs.open_ones, until), daemon=True)
    faulting.start()
    line_due = time.monotonic() + LINE_SECONDS
    while time.monotonic() < until:
        jobs.one_more()
        if time.monotonic() > line_due:
            line_due += LINE_SECONDS
            print(f"{jobs.line()} {faults.line()} {until - time.monotonic():.0f} s left.", flush=True)
    faulting.join()


def come_to_rest(rig: Rig, jobs: Jobs) -> list[str]:
    """Waits for the ends, then looks at everything."""
    rig.forgive()
    try:
        wait_until(lambda: not jobs.unfinished(), QUIET_SECONDS, "the ends of all jobs")
    except AssertionError as error:
        return [f"{error} {jobs.unfinished()}"]
    broken = jobs.check()
    try:
        invariants.nothing_is_left(rig, jobs.unwanted())
    except AssertionError as error:
        broken.append(str(error))
    return broken


if __name__ == "__main__":
    sys.exit(main())
