"""A node that is gone is noticed within 30 s, and its jobs go on elsewhere from their last checkpoint."""

import statistics
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from services.platform import wait_until
from tests.faults.farm import Farm, farm
from tests.gate import Gate

NAMES = [f"lab-{number}" for number in range(1, 9)]
AT_ONCE = 4
RUNS = 20
WITHIN_SECONDS = 30.0
STEPS = 50_000_000
HELD = """SELECT nodes.name, CAST(attempts.run_id AS text), attempts.number FROM attempts
          JOIN nodes ON nodes.id = attempts.node_id WHERE attempts.ended_at IS NULL ORDER BY 1"""
STORED = """SELECT count(*) FROM artifacts
            JOIN attempts ON attempts.run_id = artifacts.run_id AND attempts.number = artifacts.attempt
            WHERE artifacts.run_id = %s AND number = %s AND artifacts.kind = 'checkpoint' AND step > start_step"""
FRESH = "SELECT bool_and(lease_until > now() + interval '14 seconds') FROM attempts WHERE ended_at IS NULL"
NEXT = """SELECT attempts.claimed_at, nodes.name, attempts.start_step FROM attempts
          JOIN nodes ON nodes.id = attempts.node_id WHERE run_id = %s AND number = %s"""
Held = list[tuple[str, str, int]]
Lose = Callable[[Farm, list[str]], None]


@pytest.fixture(scope="module")
def its(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two slots a node, and a job for each node: the others have room for those of the lost ones."""
    with farm(tmp_path_factory.mktemp("farm"), dict.fromkeys(NAMES, "2")) as made:
        made.submit(len(NAMES), STEPS, checkpoint_interval=10_000)
        yield made


@pytest.fixture(scope="module")
def gates(its: Farm) -> Iterator[dict[str, list[Gate]]]:
    """Between every node and the web, and the broker: the nodes are started anew behind them."""
    made = {
        name: [Gate(urlsplit(its.platform.url).port or 0), Gate(its.stack.ports["RABBITMQ_PORT"])] for name in NAMES
    }
    for name, (web, broker) in made.items():
        its.platform.process(name).stop()
        environ: Any = its.platform._nodes[name]
        environ |= {"COORDINATOR_URL": web.url(its.platform.url),
                    "BROKER_URL": broker.url(environ["BROKER_URL"])}  # fmt: skip
    its.platform.start(*NAMES)
    yield made
    for gate in [gate for pair in made.values() for gate in pair]:
        gate.thaw()
        gate.shut()


def test_nodes_that_are_killed_with_all_that_is_theirs_are_noticed(its: Farm) -> None:
    def kill(names: list[str]) -> None:
        for process in [process for name in names for process in all_of(its, name)]:
            process.kill()

    seconds = [
        took for _ in range(RUNS // AT_ONCE) for took in lose(its, kill, lambda names: its.platform.start(*names))
    ]
    judge("killed", seconds)


def test_nodes_whose_network_is_cut_are_noticed_and_refused_when_they_are_back(
    its: Farm, gates: dict[str, list[Gate]]
) -> None:
    def freeze(names: list[str]) -> None:
        for gate in [gate for name in names for gate in gates[name]]:
            gate.freeze()

    def thaw(names: list[str]) -> None:
        for gate in [gate for name in names for gate in gates[name]]:
            gate.thaw()
        wait_until(lambda: all(len(trainers(run_id)) <= 1 for _, run_id, _ in held(its)), 60,
                   "the trainers of the refused attempts to end")  # fmt: skip

    seconds = [took for _ in range(RUNS // AT_ONCE) for took in lose(its, freeze, thaw)]
    judge("cut off", seconds)
    answers = "SELECT count(*) FROM attempts WHERE kind = 'lost' AND outcome IS NOT NULL"
    assert its.rows("SELECT count(*) FROM jobs WHERE state NOT IN ('RETRIEVED', 'STARTING', 'RUNNING')") == [0]
    print(f"outcomes of refused attempts that were kept as history: {its.rows(answers)[0]}")


def lose(its: Farm, harm: Callable[[list[str]], None], mend: Callable[[list[str]], None]) -> list[float]:
    """Harms a few of the nodes that train, and returns how long each of their jobs took to be claimed elsewhere."""
    wait_until(lambda: len(held(its)) == len(NAMES), 120, "a node for each job")
    wait_until(lambda: all(its.rows(STORED, run_id, number) != [0] for _, run_id, number in held(its)), 120,
               "a stored checkpoint of each attempt")  # fmt: skip
    wait_until(lambda: its.rows(FRESH) == [True], 60, "heartbeats of all attempts")  # none is lost already
    names = list(dict.fromkeys(name for name, *_ in held(its)))[:AT_ONCE]
    lost = [(run_id, number) for name, run_id, number in held(its) if name in names]
    harm(names)
    since: datetime = its.rows("SELECT clock_timestamp()")[0]
    wait_until(lambda: all(its.rows(NEXT, run_id, number + 1) for run_id, number in lost), 120,
               "all lost jobs to be claimed")  # fmt: skip
    seconds = [check(its, run_id, number, since) for run_id, number in lost]
    mend(names)
    its.until_nodes_are_there(len(NAMES))
    return seconds


def check(its: Farm, run_id: str, number: int, since: datetime) -> float:
    """The record says what happened, and the next attempt goes on from a checkpoint at another node."""
    claimed_at, node, start_step = its.rows(NEXT, run_id, number + 1)[0]
    attempts = {attempt["attempt"]: attempt for attempt in its.job(run_id)["attempts"]}
    was = attempts[number]
    assert (was["kind"], was["cause"]) == ("lost", f"Its node {was['node']} was silent for 20 s.")
    assert node != was["node"]
    assert start_step > was["start_step"]
    return float((claimed_at - since).total_seconds())


def judge(what: str, seconds: list[float]) -> None:
    in_order = sorted(seconds)
    p95 = statistics.quantiles(in_order, n=20, method="inclusive")[-1]
    figures = f"median {statistics.median(in_order):.1f}, p95 {p95:.1f}"
    print(f"\n{len(in_order)} jobs of nodes that were {what} were claimed elsewhere after, in s: {figures}")
    print(*(f"{one:.1f}" for one in in_order))
    assert len(in_order) >= RUNS
    assert p95 <= WITHIN_SECONDS


def held(its: Farm) -> Held:
    """(node, run, attempt) of all that train."""
    return its.rows(HELD)


def all_of(its: Farm, name: str) -> list[psutil.Process]:
    """Guard, main process, pool, bridge, shims, trainers, environments: parents first."""
    guard = its.platform.process(name).guard
    assert guard
    root = psutil.Process(guard.pid)
    return [root, *root.children(recursive=True)]


def trainers(run_id: str) -> list[int]:
    """The processes of the run's trainers, of whatever attempt."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if run_id in line and "stub_trainer" in line and "shim" not in line:
            found.append(process.pid)
    return found
