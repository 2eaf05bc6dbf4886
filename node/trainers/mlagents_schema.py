"""Writes down which options ML-Agents knows: `python -m node.trainers.mlagents_schema > wire/schemas/mlagents.json`.

Runs in the trainer's Python and reads ML-Agents' own settings classes. Coordinator and node check configurations
against what it wrote, since neither can import ML-Agents.
"""

from __future__ import annotations

import enum
import importlib
import json
import sys
import typing
from importlib.metadata import version
from typing import Any

from node.trainers.mlagents_cures import cure_messages, cure_numpy

Schema = dict[str, Any]
SIMPLE = {int: {"type": "integer"}, float: {"type": "number"}, bool: {"type": "boolean"}, str: {"type": "string"}}

# What the classes do not say and the code behind them needs: less than this divides by zero, allocates nothing or never
# ends. Values are JSON Schema keywords, for options of that name in any class.
BOUNDS: dict[str, Schema] = {
    name: bounds
    for names, bounds in (
        ("batch_size buffer_size hidden_units time_horizon summary_freq num_epoch num_layers", {"minimum": 1}),
        ("sequence_length save_steps swap_steps team_change window checkpoint_interval", {"minimum": 1}),
        ("learning_rate steps_per_update reward_signal_steps_per_update", {"exclusiveMinimum": 0}),
        ("epsilon init_entcoef", {"exclusiveMinimum": 0}),
        ("beta buffer_init_steps strength samples_per_update", {"minimum": 0}),
        ("gamma lambd tau play_against_latest_model_ratio", {"minimum": 0, "maximum": 1}),
        ("memory_size", {"minimum": 2, "multipleOf": 2}),
    )
    for name in names.split()
}
REST = ("behaviors", "default_settings", "environment_parameters")  # of the top: looked at elsewhere


def main() -> None:
    cure_numpy()
    cure_messages()
    json.dump(document(), sys.stdout, indent=1, sort_keys=True)
    print()


def document() -> Schema:
    """`types`: for each trainer_type the schema of an entry under `behaviors`; `top`: of what stands beside it.

    `top_of_entry` are an entry's options; those of its `hyperparameters` have other names.
    """
    settings = importlib.import_module("mlagents.trainers.settings")
    _, of_types = importlib.import_module("mlagents.plugins.trainer_type").get_default_trainer_types()
    top = Describer(settings).of_class(settings.RunOptions)
    top["properties"] |= {name: {} for name in REST}
    types = {name: Describer(settings, its).of_class(settings.TrainerSettings) for name, its in of_types.items()}
    entry = sorted(next(iter(types.values()))["properties"])
    return {"trainer": f"mlagents {version('mlagents')}", "types": types, "top": top, "top_of_entry": entry}


class Describer:
    """From attrs classes to JSON Schema; `hyperparameters` is the class of one trainer type's."""

    def __init__(self, settings: Any, hyperparameters: type | None = None) -> None:
        self.settings, self.hyperparameters = settings, hyperparameters

    def of_class(self, kind: Any) -> Schema:
        fields = importlib.import_module("attr").fields_dict(kind)
        nothing = importlib.import_module("attr").NOTHING
        hints = typing.get_type_hints(kind)
        properties = {name: self.of_field(name, hints[name]) | default(its) for name, its in fields.items()}
        required = [name for name, its in fields.items() if its.default is nothing]
        return {"type": "object", "properties": properties, "additionalProperties": False, "required": required}

    def of_field(self, name: str, kind: Any) -> Schema:
        if name == "hyperparameters" and self.hyperparameters:
            return self.of_class(self.hyperparameters)
        return self.of_type(kind) | BOUNDS.get(name, {})

    def of_type(self, kind: Any) -> Schema:
        if kind in SIMPLE:
            return dict(SIMPLE[kind])
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return {"enum": [word.value for word in kind]}
        arguments = typing.get_args(kind)
        if type(None) in arguments:
            return self.of_optional(self.of_type(next(it for it in arguments if it is not type(None))))
        if arguments and arguments[0] is self.settings.RewardSignalType:
            return self.of_signals(arguments[0])
        if hasattr(kind, "__attrs_attrs__"):
            return self.of_class(kind)
        return {}

    def of_optional(self, schema: Schema) -> Schema:
        return schema | ({"type": [schema["type"], "null"]} if "type" in schema else {})

    def of_signals(self, kind: Any) -> Schema:
        signals = {signal.value: self.of_class(signal.to_settings()) for signal in kind}
        return {"type": "object", "properties": signals, "additionalProperties": False}


def default(field: Any) -> Schema:
    """Only numbers, words and truths: the rest is made by ML-Agents when it is asked for."""
    return {"default": field.default} if isinstance(field.default, int | float | str) else {}


if __name__ == "__main__":
    main()
