"""Tests that `make test` leaves out do not rot meanwhile: all of them can be imported, and find their fixtures."""

import subprocess
import sys

from services.platform import ROOT

LEFT_OUT = ("tests/faults", "tests/heavy", "tests/rabbitmq4")


def test_what_make_test_leaves_out_finds_all_that_it_needs() -> None:
    plan = [sys.executable, "-m", "pytest", "--setup-plan", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *LEFT_OUT]
    done = subprocess.run(plan, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3_000:]
