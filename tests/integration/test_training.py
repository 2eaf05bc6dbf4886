"""Real trainings with mlagents-learn and the reference environment: good ends, bad ends, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.guards import MB, Limits
from node.ports import hold_base_port
from node.shim import descendants
from node.trainers.base import Artifact, Ending, EnvironmentBuild, Machine, TrainingOrder
from node.trainers.mlagents import MLAgentsTrainer
from node.training import train
from node.verdict import check_model
from tests.integration.trainings import trainings

PROJECT = Path(__file__).parents[2]
REACH1D = PROJECT / "environments" / "reach1d"
BROKEN = Path(__file__).parent / "environments" / "broken"
TRAINER_PYTHON = os.environ.get("TRAINER_PYTHON", str(PROJECT / ".venv-node" / "bin" / "python"))
MACHINE = Machine(TRAINER_PYTHON, {**os.environ, "NODE_TOKEN": "secret"}, connect_timeout_s=10)

Fact = dict[str, Any]


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Every test ends with nothing running below this process, and not by being quick: shims adopt all orphans."""
    before = trainings()
    yield
    assert trainings() <= before
    assert not programs("1234")


@pytest.fixture
def order(tmp_path: Path) -> Iterator[TrainingOrder]:
    with hold_base_port() as port:
        yield make_order(reach1d(), port)


def reach1d() -> EnvironmentBuild:
    return EnvironmentBuild(REACH1D, json.loads((REACH1D / "manifest.json").read_text()))


def make_order(build: EnvironmentBuild, port: int) -> TrainingOrder:
    return TrainingOrder("run-1", 1, "Reach1D", build, max_steps=2000, num_of_areas=8, seed=1, base_port=port)


def broken(folder: Path, way: str, yaml: str | None = None) -> EnvironmentBuild:
    folder.mkdir()
    shutil.copy(BROKEN, folder / "broken")
    (folder / "Reach1D.yaml").write_text(yaml or (REACH1D / "Reach1D.yaml").read_text())
    return EnvironmentBuild(folder, {**reach1d().manifest, "executable": "broken", "arguments": [way]})


def programs(word: str) -> list[str]:
    """Command lines of running `sleep`s with that argument."""
    lines = [read_of(int(pid), "cmdline").decode().split("\0") for pid in os.listdir("/proc") if pid.isdigit()]
    return [" ".join(line) for line in lines if line[0] == "sleep" and word in line]


def read_of(pid: int, name: str) -> bytes:
    """That file of the process; empty when the process has just gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def run(order: TrainingOrder, workspace: Path, **options: Any) -> tuple[Ending, list[Fact]]:
    facts: list[Fact] = []
    options = {"on_fact": facts.append, "stop": threading.Event(), "machine": MACHINE, **options}
    return train(order, workspace, **options), facts


def of_kind(kind: str, artifacts: tuple[Artifact, ...]) -> Artifact:
    (found,) = [artifact for artifact in artifacts if artifact.kind == kind]
    return found


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not happen in time"
        threading.Event().wait(0.05)


# ---- trainings that go well


def test_two_trainings_at_once_succeed_and_the_same_seed_gives_the_same_model(tmp_path: Path) -> None:
    def one(name: str) -> tuple[Ending, list[Fact]]:
        with hold_base_port() as port:
            return run(make_order(reach1d(), port), tmp_path / name)

    with ThreadPoolExecutor() as pool:
        (first, facts), (second, _) = pool.map(one, ["first", "second"])

    assert (first.status, first.error, second.status) == ("succeeded", None, "succeeded")
    models = [of_kind("model", ending.artifacts) for ending in (first, second)]
    assert models[0].manifest["sha256"] == models[1].manifest["sha256"]
    assert models[0].manifest["inputs"] == {"obs_0": [-1, 2]}
    assert {"checkpoint", "configuration", "environment_log", "timers"} <= {found.kind for found in first.artifacts}
    assert first.step >= 2000
    check_facts(facts)
    manifest = models[0].manifest
    assert (manifest["behaviour"], manifest["observation_shapes"]) == ("Reach1D", [[2]])
    assert (manifest["actions"], manifest["opset"]) == ({"continuous": 1, "discrete": []}, 9)
    assert (manifest["steps"], manifest["mean_reward"]) == (first.step, first.mean_reward)
    assert {"mlagents", "torch", "onnx", "python"} <= {*manifest["versions"]}
    check_bad_models(models[0].path, tmp_path)


def check_facts(facts: list[Fact]) -> None:
    """Phases first and in order, then a summary at least every twentieth of the way, all statistics in it."""
    assert facts[:2] == [{"kind": "phase", "phase": phase} for phase in ("STARTING", "RUNNING")]
    metrics = facts[2:]
    assert [fact["kind"] for fact in metrics] == ["metrics"] * len(metrics)
    assert [fact["step"] for fact in metrics] == sorted(fact["step"] for fact in metrics)
    assert len([fact for fact in metrics if fact["mean_reward"] is not None]) >= 10
    assert metrics[-1]["time_elapsed"] > metrics[0]["time_elapsed"] > 0
    names = {name for fact in metrics for name in fact["statistics"]}
    assert {"Losses/Policy Loss", "Policy/Entropy", "Environment/Episode Length", "Reach1D/Goal Reached"} <= names


LIES = (
    ({"continuous": 2, "discrete": []},
     "its actions are 1 continuous and 0 discrete [], the environment promises 2 continuous and 0 discrete []"),
    ({"continuous": 1, "discrete": [3]}, "it has no output deterministic_discrete_actions"),
)  # fmt: skip


def check_bad_models(model: Path, folder: Path) -> None:
    """The model check refuses half a model, and one that does not fit what the environment promises."""
    half = folder / "half.onnx"
    half.write_bytes(model.read_bytes()[:9000])
    assert "not a complete one" in check(half, reach1d(), folder)["error"]
    wider = json.loads(json.dumps(reach1d().manifest))
    wider["behaviours"]["Reach1D"]["observation_shapes"] = [[3]]
    assert "it observes" in check(model, EnvironmentBuild(REACH1D, wider), folder)["error"]
    for actions, sentence in LIES:
        lying = json.loads(json.dumps(reach1d().manifest))
        lying["behaviours"]["Reach1D"]["actions"] = actions
        assert check(model, EnvironmentBuild(REACH1D, lying), folder)["error"] == sentence


def check(model: Path, build: EnvironmentBuild, folder: Path) -> Fact:
    return check_model(
        model, make_order(build, 0), folder, MLAgentsTrainer().prepare(make_order(build, 0), folder / "x", MACHINE)
    )


def test_a_stopped_training_keeps_its_model_and_is_resumed_where_it_stopped(
    order: TrainingOrder, tmp_path: Path
) -> None:
    stop = threading.Event()
    long = replace(order, max_steps=20_000)
    checkpoints: list[int] = []

    def stop_after_a_while(fact: Fact) -> None:
        if fact.get("step", 0) >= 3000:
            stop.set()

    stopped, _ = run(
        long,
        tmp_path / "1",
        on_fact=stop_after_a_while,
        stop=stop,
        on_checkpoint=lambda path, step: checkpoints.append(step),
    )
    assert (stopped.status, stopped.error) == ("stopped", None)
    assert 3000 <= stopped.step < 20_000
    assert of_kind("model", stopped.artifacts).manifest["opset"] == 9
    assert checkpoints[0] <= 2000 < checkpoints[-1] <= stopped.step

    checkpoint = of_kind("checkpoint", stopped.artifacts)
    resumed, facts = run(replace(long, max_steps=stopped.step + 2000, resume_from=checkpoint.path), tmp_path / "2")
    assert resumed.status == "succeeded"
    steps = [fact["step"] for fact in facts if fact["kind"] == "metrics"]
    assert stopped.step < steps[0] <= stopped.step + 1000
    assert resumed.step >= stopped.step + 2000


# ---- trainings that cannot work: one sentence each


@pytest.mark.parametrize(
    ("way", "sentence"),
    [
        ("exits", "The environment ended (exit code 3) before it had connected to the trainer."),
        ("never-connects", "The environment started but did not connect to the trainer in time."),
        ("other-behaviour", 'The environment shows a behaviour "Other" that its configuration does not have.'),
        ("nan-reward", "The environment sent rewards that are not finite numbers (NaN)."),
        ("crashes", "The environment ended (exit code 7) in the middle of the training."),
    ],
)
def test_a_broken_environment_is_explained(order: TrainingOrder, tmp_path: Path, way: str, sentence: str) -> None:
    ending, _ = run(replace(order, environment=broken(tmp_path / "build", way)), tmp_path / "1")
    assert (ending.status, ending.error, ending.cause) == ("failed", sentence, "user")
    assert ending.log_tail


def test_an_environment_that_eats_memory_takes_its_training_along_and_nothing_else(
    order: TrainingOrder, tmp_path: Path
) -> None:
    build = broken(tmp_path / "build", "eats-memory")
    limits = Limits(memory_bytes=1500 * MB)
    ending, _ = run(replace(order, environment=build, max_steps=20_000), tmp_path / "1", limits=limits)
    assert (ending.status, ending.cause) == ("failed", "memory")
    assert str(ending.error).startswith("The training used more than its 1500 MB of memory: it was at 1")


def test_an_unknown_option_in_the_configuration_is_named(order: TrainingOrder, tmp_path: Path) -> None:
    yaml = (REACH1D / "Reach1D.yaml").read_text().replace("num_epoch", "epochs_of_it")
    ending, _ = run(replace(order, environment=broken(tmp_path / "build", "fine", yaml)), tmp_path / "1")
    assert ending.error == 'The environment\'s configuration has an option "epochs_of_it" that ML-Agents does not know.'


def test_a_port_that_is_taken_is_the_nodes_fault(order: TrainingOrder, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", order.base_port)):
        ending, _ = run(order, tmp_path / "1")
    assert (ending.error, ending.cause) == ("The trainer's port was taken by another program.", "node")


def test_a_damaged_checkpoint_is_explained(order: TrainingOrder, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    ending, _ = run(replace(order, resume_from=tmp_path / "checkpoint.pt"), tmp_path / "1")
    assert ending.error == "The checkpoint to begin with is damaged."


# ---- nothing is left


def test_children_of_an_environment_and_secrets_do_not_survive(order: TrainingOrder, tmp_path: Path) -> None:
    """The environment starts a process in a session of its own, and the trainer is killed by a stranger."""
    seen: list[str] = []

    def kill_the_trainer(fact: Fact) -> None:
        if fact.get("phase") == "RUNNING":
            seen.extend(programs("1234"))
            (pidfile,) = tmp_path.glob("*.pid")
            started = descendants(json.loads(pidfile.read_text())["pid"])
            assert started
            assert not [pid for pid in started if b"NODE_TOKEN" in read_of(pid, "environ")]
            os.kill(started[0], signal.SIGKILL)  # the trainer, older than its workers

    ending, _ = run(
        replace(order, environment=broken(tmp_path / "build", "leaves-a-child")),
        tmp_path / "1",
        on_fact=kill_the_trainer,
    )
    assert seen
    assert ending.error == "The trainer was killed by the system, most likely for want of memory."


def test_an_exception_in_the_node_leaves_no_process(order: TrainingOrder, tmp_path: Path) -> None:
    def leave(fact: Fact) -> None:
        if fact.get("phase") == "RUNNING":
            raise SystemExit(-241)  # what Celery raises when a task is terminated

    with pytest.raises(SystemExit):
        run(order, tmp_path / "1", on_fact=leave)


def test_killing_the_node_leaves_no_process(order: TrainingOrder, tmp_path: Path) -> None:
    build = broken(tmp_path / "build", "leaves-a-child")
    program = f"""
import json, os, threading
from pathlib import Path
from node.trainers.base import EnvironmentBuild, Machine, TrainingOrder
from node.trainers.mlagents import MLAgentsTrainer
from node.training import train
build = EnvironmentBuild(Path({str(build.folder)!r}), json.loads({json.dumps(build.manifest)!r}))
order = TrainingOrder("run-1", 1, "Reach1D", build, 1000000, 8, 1, {order.base_port})
train(order, Path({str(tmp_path / "1")!r}), lambda fact: print(fact, flush=True), threading.Event(),
      Machine({TRAINER_PYTHON!r}, dict(os.environ)))
"""
    node = subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert node.stdout
    with node.stdout:
        while "RUNNING" not in node.stdout.readline():
            assert node.poll() is None
        children = descendants(node.pid)
        assert len(children) >= 5  # shim, trainer, its worker, the player and the player's child
        node.kill()
        node.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    assert not list(tmp_path.glob("*.pid"))
