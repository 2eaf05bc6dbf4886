"""A node tries a build before it first trains in it: does it start, does it connect, are its behaviours as promised."""

import json
import logging
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from wire.jobs import JobSpec

from . import ports
from .bridge.attempts import announce
from .capacity import memory_mb_per_slot
from .central import Away, Central, Refused
from .config import Config
from .fetch import StopFlag, Stopped
from .guards import MB, Guards, Limits
from .process import Process
from .trainers.base import Command, EnvironmentBuild, Machine, TrainingOrder, TrainingRefused, cause_of
from .trainers.surroundings import trainer_environ

log = logging.getLogger(__name__)
CHECKS = {
    "unity": "node.environment_check",
    "gymnasium": "node.trainers.gym_check",
}
"""Kind of environment to the module that tries one, in the trainer's Python: `python -m MODULE ASKED_JSON_FILE`.

It tells one fact of the kind "checked": `error` (a sentence or None), its `cause` ("user", or "node" where the build is
not to blame) and what it has `found`. A kind that is not here is not tried.
"""
START_S = 60.0
POLL_S = 0.2
TAIL_BYTES = 6_000
MAX_LOG_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has shown: `error` is a sentence, None when it passed; `found` the behaviours as they are."""

    error: str | None
    seconds: float = 0.0
    found: dict[str, Any] = field(default_factory=dict)
    log_tail: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Keeps a finding. One that passed holds for good; one that did not, for those who waited for it meanwhile."""

    path: Path
    asked_at: float

    def read(self) -> Finding | None:
        """The finding that holds for whoever asks."""
        with suppress(OSError, ValueError, TypeError):
            finding = Finding(**json.loads(self.path.read_text(encoding="utf-8")))
            if finding.error is None or self.path.stat().st_mtime >= self.asked_at:
                return finding
        return None

    def write(self, finding: Finding) -> None:
        self.path.write_text(json.dumps(asdict(finding)), encoding="utf-8")


def check_once(
    config: Config, spec: JobSpec, central: Central, build: EnvironmentBuild, note: Note, folder: Path, stop: StopFlag
) -> None:
    """Raises TrainingRefused for a build that cannot be trained in, Stopped. To be called by one process at a time."""
    finding = note.read()
    if finding is None:
        finding = look_at(config, spec, build, folder, stop)
        note.write(finding)
    _report(central, spec, finding)
    if finding.error:
        raise TrainingRefused(finding.error, log_tail=finding.log_tail)


def look_at(config: Config, spec: JobSpec, build: EnvironmentBuild, folder: Path, stop: StopFlag) -> Finding:
    """Runs the build for a few steps. Leaves no process. Raises Stopped, TrainingRefused."""
    module = CHECKS.get(str(build.manifest.get("kind", "unity")))
    if module is None:
        return Finding(None)
    began = time.monotonic()
    workspace = folder / "check"
    workspace.mkdir(parents=True, exist_ok=True)
    mark = uuid4().hex
    announce(folder.parent, spec, mark, config.coordinator_url, is_check=True)
    with ports.hold_base_port() as port:
        fact = _run(module, _order(spec, build, port), config, workspace, stop, mark)
    seconds = round(time.monotonic() - began, 3)
    error = None if fact.get("error") is None else str(fact["error"])
    if error and (cause := cause_of(fact.get("cause"))) != "user":
        raise TrainingRefused(error, cause, _log_tail(workspace))
    return Finding(error, seconds, dict(fact.get("found") or {}), _log_tail(workspace) if error else "")


def _order(spec: JobSpec, build: EnvironmentBuild, port: int) -> TrainingOrder:
    areas = int(build.manifest.get("areas", {}).get("min", 1))
    memory = spec.memory_mb * MB if spec.memory_mb else None
    return TrainingOrder(
        spec.run_id, spec.attempt, spec.behaviour, build, 1, areas, spec.seed, port, memory_bytes=memory
    )


def _run(
    module: str, order: TrainingOrder, config: Config, workspace: Path, stop: StopFlag, mark: str
) -> dict[str, Any]:
    """The fact that the check tells, or what is to be said where it tells none."""
    machine = Machine(config.trainer_python, config.environ, 1, config.connect_seconds)
    command = Command((machine.trainer_python, "-m", module, "asked.json"), trainer_environ(machine), workspace)
    _ask(order, machine, workspace / "asked.json")
    pidfile = config.attempts_dir / f"{order.run_id}.{order.attempt}.pid"  # where a killed node's next start looks
    pidfile.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + START_S + 3 * machine.connect_timeout_s
    limits = Limits((order.memory_bytes or memory_mb_per_slot(config) * MB), MAX_LOG_BYTES)
    with Process(command, workspace / "check.log", pidfile, order.run_id, order.attempt, mark) as process:
        guards = Guards(limits, workspace, process.pids)
        while process.exit_code is None or not process.drained:
            for fact in process.facts(POLL_S):
                if fact["kind"] == "checked":
                    return fact
            if stop.is_set():
                raise Stopped
            if time.monotonic() > deadline:
                return {"error": "The environment connected, but did not get through its first steps in time."}
            if complaint := guards.complain():
                return {"error": str(complaint)}
    raise TrainingRefused(f"The check of the build ended without a word (exit code {process.exit_code}).", "node",
                          _log_tail(workspace))  # fmt: skip


def _ask(order: TrainingOrder, machine: Machine, path: Path) -> None:
    asked = {
        "folder": str(order.environment.folder), "manifest": dict(order.environment.manifest),
        "port": order.base_port, "areas": order.num_of_areas, "seed": order.seed,
        "connect_seconds": machine.connect_timeout_s,
    }  # fmt: skip
    path.write_text(json.dumps(asked), encoding="utf-8")


def _report(central: Central, spec: JobSpec, finding: Finding) -> None:
    """Once: when the coordinator does not hear it, the next claim asks for the check again, and the note answers."""
    try:
        central.build_checked(str((spec.build or {})["id"]), finding.error, finding.seconds, finding.found)
    except (Away, Refused) as error:
        log.warning("The check of a build of %s could not be reported: %s", spec.env_id, error)


def _log_tail(workspace: Path) -> str:
    tails = [_tail(workspace / name) for name in ("check.log", "Player-0.log")]
    return "\n---- the environment's own log ----\n".join(tail for tail in tails if tail)


def _tail(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read().decode("utf-8", errors="replace").strip()
    return ""
