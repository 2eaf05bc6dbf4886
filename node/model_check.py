"""Says whether a file is the model that a behaviour needs: `python -m node.model_check MODEL EXPECTED_JSON`.

Runs in the trainer's Python, loads the model as a game would, and prints the model's manifest (with `error`) as JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

OPSETS = range(7, 16)  # what Unity reads
PACKAGES = ("mlagents", "stable_baselines3", "gymnasium", "torch", "onnx", "numpy")
VERSION = 3  # of ML-Agents' model conventions


class Unusable(Exception):
    """The model cannot be used; the message says why."""


def main(arguments: Sequence[str]) -> int:
    path, expected = Path(arguments[0]), json.loads(arguments[1])
    manifest = describe(path, expected)
    print(json.dumps(manifest, allow_nan=False))
    return 0 if manifest["error"] is None else 1


def describe(path: Path, expected: Mapping[str, Any]) -> dict[str, Any]:
    """sha256, size, opset, inputs and outputs (name to shape, -1 for the batch), observation_shapes and actions as an
    environment's manifest has them, versions of the packages that made it, and `error`: a sentence or None.

    `expected` may hold observation_shapes and actions {continuous, discrete}, as in an environment's manifest.
    """
    content = path.read_bytes()
    manifest: dict[str, Any] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "error": None}
    try:
        manifest["opset"] = read_opset(path)
        session = load(path)
        manifest["inputs"] = {item.name: shape(item) for item in session.get_inputs()}
        manifest["outputs"] = {item.name: shape(item) for item in session.get_outputs()}
        check_names(manifest, expected)
        check_answer(session, manifest, expected)
        manifest["versions"] = versions()
    except Unusable as error:
        manifest["error"] = str(error)
    return manifest


def read_opset(path: Path) -> int:
    onnx = importlib.import_module("onnx")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise Unusable("it is not an ONNX file, or not a complete one") from error
    if any(weight.external_data for weight in model.graph.initializer):
        raise Unusable("its weights are in another file")
    opset = max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=0)
    if opset not in OPSETS:
        raise Unusable(f"its opset is {opset}, Unity reads {OPSETS[0]} to {OPSETS[-1]}")
    return int(opset)


def load(path: Path) -> Any:
    runtime = importlib.import_module("onnxruntime")
    runtime.set_default_logger_severity(3)
    try:
        return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Unusable("onnxruntime cannot load it") from error


def shape(item: Any) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in item.shape]


def check_names(manifest: dict[str, Any], expected: Mapping[str, Any]) -> None:
    """Inputs and outputs as ML-Agents names them, and of the shapes that the environment promised."""
    wanted = [list(map(int, sizes)) for sizes in expected.get("observation_shapes") or []]
    names = [name for name in manifest["inputs"] if name.startswith("obs_")]
    observed = [manifest["inputs"].get(f"obs_{i}", [])[1:] for i in range(len(names))]
    if not names or (wanted and observed != wanted):
        raise Unusable(f"it observes {observed}, the environment promises {wanted}")
    manifest["observation_shapes"] = observed
    outputs = {"version_number", "memory_size"}
    for kind in action_kinds(expected):
        outputs |= {f"{kind}_actions", f"{kind}_action_output_shape", f"deterministic_{kind}_actions"}
    missing = sorted(outputs - set(manifest["outputs"]))
    if missing:
        raise Unusable(f"it has no output {missing[0]}")
    if not any(name.endswith("_actions") for name in manifest["outputs"]):
        raise Unusable("it has no actions")


def action_kinds(expected: Mapping[str, Any]) -> list[str]:
    actions = expected.get("actions") or {}
    return [kind for kind in ("continuous", "discrete") if actions.get(kind)]


def check_answer(session: Any, manifest: dict[str, Any], expected: Mapping[str, Any]) -> None:
    """Feeds one zero observation (all actions allowed) and wants finite numbers of the right size."""
    numpy = importlib.import_module("numpy")
    fill = {"action_masks": 1.0}
    inputs = {
        name: numpy.full([1, *(abs(size) for size in sizes[1:])], fill.get(name, 0.0), dtype=numpy.float32)
        for name, sizes in manifest["inputs"].items()
    }
    try:
        answers = dict(zip(manifest["outputs"], session.run(None, inputs), strict=True))
    except Exception as error:
        raise Unusable("it does not answer an observation") from error
    for name, answer in answers.items():
        if not numpy.isfinite(answer).all():
            raise Unusable(f"its {name} are not finite numbers")
    if int(answers["version_number"].flat[0]) != VERSION:
        raise Unusable(f"its version_number is {answers['version_number'].flat[0]:g}, ML-Agents' is {VERSION}")
    check_actions(manifest, answers, expected)


def check_actions(manifest: dict[str, Any], answers: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """The model says itself how many continuous actions it has, and how large the branches of its discrete ones are."""
    continuous, discrete = sum(sizes(answers, "continuous")), sizes(answers, "discrete")
    manifest["actions"] = {"continuous": continuous, "discrete": discrete}
    promised = expected.get("actions") or manifest["actions"]
    wanted = {"continuous": promised.get("continuous") or 0, "discrete": list(promised.get("discrete") or [])}
    if wanted != manifest["actions"]:
        raise Unusable(
            f"its actions are {described(manifest['actions'])}, the environment promises {described(wanted)}"
        )
    for kind, number in (("continuous", continuous), ("discrete", len(discrete))):
        if number and answers[f"deterministic_{kind}_actions"].shape[-1] != number:
            raise Unusable(f"it answers with another number of {kind} actions than it says it has")


def described(actions: Mapping[str, Any]) -> str:
    return f"{actions['continuous']} continuous and {len(actions['discrete'])} discrete {actions['discrete']}"


def sizes(answers: Mapping[str, Any], kind: str) -> list[int]:
    said = answers.get(f"{kind}_action_output_shape")
    return [] if said is None else [int(size) for size in said.flat]


def versions() -> dict[str, str]:
    """Of what the model was made with, as far as it is installed here."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
