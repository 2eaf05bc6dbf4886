"""ML-Agents' part of checking hyperparameters: its own schema, what a job may not say, what must fit together."""

from collections.abc import Mapping
from typing import Any

from wire.schemas import schema_of

from ..errors import BadRequest
from .sentences import LENIENT, check, numbers_of_yaml, value_at, without_required

Json = Mapping[str, Any]
WHERE, BUILD = "hyperparameters", "The environment's configuration"

FIXED = {
    "max_steps": "the job's steps are its nn_model_config.steps",
    "checkpoint_interval": "it is a field of the job, beside hyperparameters",
    "keep_checkpoints": "the coordinator decides which checkpoints are kept",
    "even_checkpoints": "the job's checkpoint_interval says when checkpoints are saved",
    "init_path": "the job's initialize_from names another job to begin with",
    "threaded": "threads would make the result depend on timing",
    "trainer_type": "the environment decides it",
    "demo_path": "paths are the environment's",
}
"""What hyperparameters never say, and who says it."""


def check_job(behaviour: Json, name: str, given: Json) -> None:
    """Flat: options of the behaviour's entry, and those of its `hyperparameters` beside them."""
    refuse_fixed(given)
    entry = _entry_of(behaviour, name)
    schema = _schema(entry.get("trainer_type", "ppo"))
    properties = schema["properties"]
    flat = {key: its for key, its in properties.items() if key not in FIXED and key != WHERE}
    flat |= properties[WHERE]["properties"]
    check(without_required({**schema, "properties": flat}), given, WHERE)
    whole = overlaid(entry, given, properties)
    check(schema, whole, WHERE, LENIENT)
    _check_together(whole, schema, WHERE)


def check_build(behaviour: Json, name: str) -> None:
    configuration = behaviour.get("configuration") or {}
    if not isinstance(configuration.get("behaviors"), Mapping):
        raise BadRequest(f"{BUILD} of {name} does not contain `behaviors:`.")
    check(schema_of("mlagents")["top"], configuration, BUILD, LENIENT)
    if name not in configuration["behaviors"]:
        raise BadRequest(f"{BUILD} of {name} has no entry {name!r} in `behaviors:`.")
    for key, entry in configuration["behaviors"].items():
        its = _entry_of(behaviour, key)
        schema = _schema(its.get("trainer_type", "ppo"))
        check(schema, numbers_of_yaml(entry), f"{BUILD}: behaviors.{key}", LENIENT)
        _check_together(its, schema, f"{BUILD}: behaviors.{key}")


def refuse_fixed(given: Any, where: str = WHERE) -> None:
    """Whatever would reach a file, or is said elsewhere in the job. Raises BadRequest."""
    for name, value in given.items() if isinstance(given, Mapping) else ():
        if name in FIXED:
            raise BadRequest(f"{where}.{name} can't be set: {FIXED[name]}.")
        refuse_fixed(value, f"{where}.{name}")


def overlaid(entry: Json, given: Json, properties: Json) -> dict[str, Any]:
    """The entry as the trainer will get it: the job's options over the build's, object by object."""
    inner = {key: value for key, value in given.items() if key not in properties}
    outer = {key: value for key, value in given.items() if key in properties}
    return merged(entry, outer | ({WHERE: inner} if inner else {}))


def merged(below: Json, above: Json) -> dict[str, Any]:
    both = {key: merged(below[key], above[key]) for key in above
            if isinstance(below.get(key), Mapping) and isinstance(above[key], Mapping)}  # fmt: skip
    return {**below, **above, **both}


def _entry_of(behaviour: Json, name: str) -> dict[str, Any]:
    configuration = behaviour.get("configuration") or {}
    defaults, entries = configuration.get("default_settings") or {}, configuration.get("behaviors") or {}
    entry = entries.get(name) or {} if isinstance(entries, Mapping) else {}
    if not isinstance(entry, Mapping) or not isinstance(defaults, Mapping):
        raise BadRequest(f"{BUILD}: each entry of `behaviors:` must be a mapping.")
    return merged(numbers_of_yaml(defaults), numbers_of_yaml(entry))


def _schema(trainer_type: Any) -> dict[str, Any]:
    types: dict[str, Any] = schema_of("mlagents")["types"]
    if not isinstance(trainer_type, str) or trainer_type not in types:
        raise BadRequest(f"{BUILD}: trainer_type must be one of {', '.join(types)}, not {str(trainer_type)[:60]!r}.")
    return dict(types[trainer_type])


def _check_together(entry: Json, schema: Json, where: str) -> None:
    """Options that must fit each other, each with the default that ML-Agents has for it."""
    its = _Values(entry, schema)
    batch, buffer = its("hyperparameters.batch_size"), its("hyperparameters.buffer_size")
    if batch > buffer:  # ML-Agents accepts that, and never learns
        raise BadRequest(f"{where}: batch_size {batch:g} may be at most buffer_size {buffer:g}.")
    if not (entry.get("network_settings") or {}).get("memory"):
        return
    sequence = its("network_settings.memory.sequence_length")
    if sequence > batch:
        raise BadRequest(f"{where}: with memory, sequence_length {sequence:g} may be at most batch_size {batch:g}.")


class _Values:
    """Numbers of an entry by their path; what is not said is the default of the schema."""

    def __init__(self, entry: Json, schema: Json) -> None:
        self._entry, self._schema = entry, schema

    def __call__(self, path: str) -> float:
        found, schema = value_at(self._entry, path), self._schema
        for name in path.split("."):
            schema = schema["properties"][name]
        return float(schema["default"] if found is None else found)
