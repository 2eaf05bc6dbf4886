"""In the trainer's Python: every order of a list in one process, for importing torch takes longer than any of them.

`python gym_launches.py ORDERS RESULTS`: [{name, workspace}] in, {name: {code, facts, model, agrees, checkpoints}} out.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy
import onnxruntime

from node.model_check import describe
from node.trainers import sb3_launcher
from node.trainers.gym_launch import main
from node.trainers.gym_world import acted, is_image

made: list[Any] = []
make = sb3_launcher.make


def remembered(*arguments: Any) -> Any:
    made.append(make(*arguments))
    return made[-1]


def launch(workspace: Path) -> dict[str, Any]:
    os.chdir(workspace)
    os.environ["TRAINER_FACTS_FD"] = str(os.open("facts.jsonl", os.O_WRONLY | os.O_CREAT))
    sys.argv[1:] = ["trainer.json"]
    made.clear()
    code = main(sb3_launcher.train)
    order = json.loads(Path("trainer.json").read_text())
    facts = [json.loads(line) for line in Path("facts.jsonl").read_text().splitlines()]
    model = Path("results", f"{order['behaviour']}.onnx")
    expected = {name: order["environment"][name] for name in ("observation_shapes", "actions")}
    checkpoints = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in model.parent.rglob("*.pt")}
    return {
        "code": code, "facts": facts,
        "model": describe(model, expected) if model.exists() else None,
        "agrees": agrees(model, made[-1]) if model.exists() else None,
        "checkpoints": checkpoints,
    }  # fmt: skip


def agrees(model: Path, algorithm: Any) -> bool:
    """Whether the exported model decides as the policy does, in the environment's own words."""
    space, actions = algorithm.env.observation_space, algorithm.action_space
    space.seed(1)
    seen = numpy.stack([space.sample() for _ in range(32)])
    told = seen / 255.0 if is_image(space) else seen
    inputs = {"obs_0": told.astype(numpy.float32)}
    branches = acted(actions)["discrete"]
    if branches:
        inputs["action_masks"] = numpy.ones((32, sum(branches)), numpy.float32)
    kind = "discrete" if branches else "continuous"
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (found,) = session.run([f"deterministic_{kind}_actions"], inputs)
    (sampled,) = session.run([f"{kind}_actions"], inputs)
    wanted = algorithm.predict(seen, deterministic=True)[0].reshape(32, -1)
    if branches:
        return bool((found == wanted).all() and (sampled >= 0).all() and (sampled < numpy.array(branches)).all())
    scaled = 2 * (wanted - actions.low) / (actions.high - actions.low) - 1
    return bool(numpy.allclose(found, scaled, atol=1e-4) and (abs(sampled) <= 1).all())


if __name__ == "__main__":
    sb3_launcher.make = remembered
    orders, results = (Path(name) for name in sys.argv[1:])
    came = {each["name"]: launch(Path(each["workspace"])) for each in json.loads(orders.read_text())}
    results.write_text(json.dumps(came))
