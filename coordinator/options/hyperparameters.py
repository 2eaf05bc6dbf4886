"""A job's hyperparameters, checked at its submission: against the trainer's own schema, then the behaviour's ranges."""

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import BadRequest
from . import mlagents_options, sb3_options
from .sentences import show, value_at

Json = Mapping[str, Any]
WHERE = "hyperparameters"

CHECKS: dict[str, Callable[[Json, str, Json], None]] = {
    "mlagents": mlagents_options.check_job,
    "sb3": sb3_options.check_job,
}
"""How each trainer checks a job's hyperparameters: the behaviour's entry in the manifest, its name, what is given."""

BUILD_CHECKS: dict[str, Callable[[Json, str], None]] = {
    "mlagents": mlagents_options.check_build,
    "sb3": sb3_options.check_build,
}
"""How each trainer checks the configuration that a build has for a behaviour."""


def check_job(trainer: str, behaviour: Json, name: str, given: Json) -> None:
    """`behaviour` is the manifest's entry, with its `configuration`. Raises BadRequest with a sentence."""
    if trainer not in CHECKS and not given:
        return
    if trainer not in CHECKS:
        raise BadRequest(f"{WHERE}: trainer {trainer!r} takes none.")
    CHECKS[trainer](behaviour, name, given)
    check_ranges(behaviour.get("hyperparameters") or {}, given)


def check_build(trainer: str, behaviour: Json, name: str) -> None:
    """The configuration that a build brings along for a behaviour. Raises BadRequest."""
    if trainer in BUILD_CHECKS:
        BUILD_CHECKS[trainer](behaviour, name)


def check_ranges(ranges: Json, given: Json) -> None:
    """What the behaviour allows: `{"learning_rate": {"min", "max"}, "network_settings.num_layers": {"values"}}`."""
    for option, allowed in ranges.items():
        value = value_at(given, option)
        if value is None:
            continue
        values, least, most = allowed.get("values"), allowed.get("min"), allowed.get("max")
        if values is not None and value not in values:
            raise BadRequest(f"{WHERE}.{option} must be one of {', '.join(map(show, values))} "
                             f"for this behaviour, not {show(value)}.")  # fmt: skip
        if isinstance(value, int | float) and not _lies(value, least, most):
            raise BadRequest(f"{WHERE}.{option} must be {_between(least, most)} for this behaviour, not {value}.")


def _lies(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _between(least: Any, most: Any) -> str:
    if least is None or most is None:
        return f"at least {least}" if most is None else f"at most {most}"
    return f"between {least} and {most}"
