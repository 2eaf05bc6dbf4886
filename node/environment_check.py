"""Tries a Unity build: `python -m node.environment_check ASKED_JSON_FILE`, in the trainer's Python.

Starts it headless, waits for its connection, takes a few steps, and compares the behaviours that it shows with those
of its manifest. Tells one fact "checked" on TRAINER_FACTS_FD.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from node.trainers.base import EnvironmentBuild, TrainingOrder, TrainingRefused
from node.trainers.explanations import explain_error
from node.trainers.facts import Facts
from node.trainers.mlagents import environment_executable
from node.trainers.mlagents_cures import cure_messages, cure_numpy
from node.trainers.mlagents_explain import RULES

STEPS = 50  # behaviours may show up later than with the first one
AFTERWARDS = 2

Found = dict[str, dict[str, Any]]


def main(arguments: Sequence[str]) -> int:
    descriptor = os.environ.get("TRAINER_FACTS_FD")
    facts = Facts(int(descriptor) if descriptor else None)
    asked = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    refused, found = look(asked)
    facts.tell("checked", error=refused and str(refused), cause=refused and refused.cause, found=found)
    return 0 if refused is None else 1


def look(asked: Mapping[str, Any]) -> tuple[TrainingRefused | None, Found]:
    """Why nothing can be trained in the build (None: it can), and the behaviours that it has shown."""
    cure_numpy()
    cure_messages()
    found: Found = {}
    environment = None
    try:
        environment = start(asked, executable_of(asked))
        follow(environment, set(asked["manifest"]["behaviours"]), found)
    except TrainingRefused as refused:
        return refused, found
    except Exception as error:
        traceback.print_exc()
        return (reason_after(error) if environment else reason_before(error)), found
    wrong = mismatch(asked["manifest"], found)
    return (TrainingRefused(wrong) if wrong else None), found


def executable_of(asked: Mapping[str, Any]) -> Path:
    """Raises TrainingRefused."""
    build = EnvironmentBuild(Path(asked["folder"]), asked["manifest"])
    return environment_executable(TrainingOrder("", 1, "", build, 1, asked["areas"], asked["seed"], asked["port"]))


def start(asked: Mapping[str, Any], executable: Path) -> Any:
    """The build, connected. Raises what mlagents_envs raises."""
    module = importlib.import_module("mlagents_envs.environment")
    return module.UnityEnvironment(
        file_name=str(executable), base_port=asked["port"], seed=asked["seed"], no_graphics=True,
        timeout_wait=asked["connect_seconds"], num_areas=asked["areas"], log_folder=str(Path.cwd()),
        additional_args=[str(word) for word in asked["manifest"].get("arguments", [])],
    )  # fmt: skip


def follow(environment: Any, wanted: set[str], found: Found) -> None:
    """Steps until all the wanted behaviours have shown themselves, and a little further."""
    environment.reset()
    found.update(shown(environment))
    for _ in range(STEPS):
        if wanted <= set(found):
            break
        environment.step()
        found.update(shown(environment))
    for _ in range(AFTERWARDS):
        environment.step()


def shown(environment: Any) -> Found:
    return {name.split("?")[0]: described(spec) for name, spec in environment.behavior_specs.items()}


def described(spec: Any) -> dict[str, Any]:
    """A behaviour in the manifest's words."""
    actions = spec.action_spec
    return {
        "observation_shapes": [list(map(int, observation.shape)) for observation in spec.observation_specs],
        "actions": {"continuous": int(actions.continuous_size), "discrete": list(map(int, actions.discrete_branches))},
    }


def mismatch(manifest: Mapping[str, Any], found: Found) -> str | None:
    """The first thing that is not as the manifest says."""
    promised: Mapping[str, Any] = manifest["behaviours"]
    for name, its in promised.items():
        if name not in found:
            return f'The environment shows no agent of the behaviour "{name}" (it shows: {listed(found)}).'
        for what, word in (("observation_shapes", "observations"), ("actions", "actions")):
            if its.get(what) is not None and normal(its[what]) != found[name][what]:
                seen = json.dumps(found[name][what])
                return f'The manifest gives "{name}" the {word} {json.dumps(its[what])}, the environment shows {seen}.'
    stray = sorted(set(found) - set(promised) - configured(promised))
    return f'The environment shows a behaviour "{stray[0]}" that its manifest does not have.' if stray else None


def normal(promised: Any) -> Any:
    """Actions with both kinds said, shapes as they are."""
    return {"continuous": 0, "discrete": [], **promised} if isinstance(promised, dict) else promised


def configured(promised: Mapping[str, Any]) -> set[str]:
    """Behaviours that are trained beside the promised ones, for some configuration has them."""
    configurations = [its.get("configuration") or {} for its in promised.values()]
    return {name for configuration in configurations for name in configuration.get("behaviors") or {}}


def listed(found: Found) -> str:
    return ", ".join(sorted(found)) or "none"


def reason_before(error: Exception) -> TrainingRefused:
    return explain_error(RULES, {"type": type(error).__name__, "message": str(error)}, connected=False)


def reason_after(error: Exception) -> TrainingRefused:
    kind = type(error).__name__
    if kind == "UnityTimeOutException":
        return TrainingRefused("The environment connected, but then stopped answering.")
    if code := re.search(r"return code (-?\d+)", str(error)):
        return TrainingRefused(f"The environment connected, but ended (exit code {code[1]}) in its first steps.")
    if kind in ("UnityCommunicationException", "UnityCommunicatorStoppedException"):
        return TrainingRefused("The environment connected, but lost its connection in its first steps.")
    return explain_error(RULES, {"type": kind, "message": str(error)}, connected=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
