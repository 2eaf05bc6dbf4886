"""Writes a policy as the ONNX file that ML-Agents would write, so that Unity loads it. Runs in the trainer's Python."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

OPSET = 9  # ML-Agents' own
VERSION = 3  # of ML-Agents' model conventions
FORBIDDEN = -1e8  # the logit of an action that the mask does not allow


class ContinuousModel(torch.nn.Module):
    """`actor` takes observations [batch, ...] and gives (most likely, sampled) actions [batch, n], all in -1..1."""

    outputs = ("continuous_actions", "continuous_action_output_shape", "deterministic_continuous_actions")

    def __init__(self, actor: Any, size: int) -> None:
        super().__init__()
        self.actor = actor
        self.constants = _constants(VERSION, 0, [size])

    def forward(self, observation: Any) -> tuple[Any, ...]:
        likeliest, sampled = self.actor(observation)
        version, memory, size = self.constants
        return version, memory, sampled, size, likeliest


class DiscreteModel(torch.nn.Module):
    """`actor` takes observations [batch, ...] and gives the logits [batch, all branches' actions one after the other].

    With `greedy`, which is for values that are not a distribution's, the likeliest action is always taken.
    """

    outputs = ("discrete_actions", "discrete_action_output_shape", "deterministic_discrete_actions")

    def __init__(self, actor: Any, branches: Sequence[int], greedy: bool = False) -> None:
        super().__init__()
        self.actor, self.branches, self.greedy = actor, tuple(branches), greedy
        self.constants = _constants(VERSION, 0, [list(branches)])

    def forward(self, observation: Any, masks: Any) -> tuple[Any, ...]:
        logits = self.actor(observation) * masks + FORBIDDEN * (1.0 - masks)
        parts = torch.split(logits, self.branches, dim=1)
        likeliest = torch.cat([torch.argmax(part, dim=1, keepdim=True) for part in parts], dim=1)
        sampled = torch.cat([torch.multinomial(torch.softmax(part, dim=1), 1) for part in parts], dim=1)
        version, memory, sizes = self.constants
        return version, memory, likeliest + 0 if self.greedy else sampled, sizes, likeliest


def export(model: ContinuousModel | DiscreteModel, observation: Sequence[int], path: Path) -> None:
    """Writes the file at once or not at all. `observation` is the shape of obs_0. Neither the networks nor torch's
    random numbers are changed by it."""
    inputs: Mapping[str, Any] = {"obs_0": torch.zeros(1, *observation)}
    if isinstance(model, DiscreteModel):
        inputs = {**inputs, "action_masks": torch.ones(1, sum(model.branches))}
    outputs = ("version_number", "memory_size", *model.outputs)
    batched = [*inputs, *(name for name in outputs if name.endswith("_actions"))]
    draft = path.with_name(f"{path.name}.part")
    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, about constants
        torch.onnx.export(
            model, tuple(inputs.values()), str(draft), opset_version=OPSET, dynamo=False, input_names=[*inputs],
            output_names=[*outputs], dynamic_axes={name: {0: "batch"} for name in batched},
        )  # fmt: skip
    draft.replace(path)


def _constants(*values: Any) -> Any:
    tensors = [torch.tensor(value if isinstance(value, list) else [value], dtype=torch.float32) for value in values]
    return torch.nn.ParameterList([torch.nn.Parameter(tensor, requires_grad=False) for tensor in tensors])
