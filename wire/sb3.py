"""What a behaviour of a Gymnasium environment, and a job, may set for Stable-Baselines3's algorithms.

The coordinator checks a job with it at submission, the trainer checks again what it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any


@dataclass(frozen=True, slots=True)
class Number:
    """Between `least` and `most`, both included, or one of `words`."""

    least: float
    most: float
    whole: bool = False
    words: tuple[str, ...] = ()

    def fits(self, value: Any) -> bool:
        kinds = int if self.whole else (int, float)
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        return value in self.words if isinstance(value, str) else is_number and self.least <= value <= self.most

    def __str__(self) -> str:
        number = f"a {'whole ' if self.whole else ''}number between {self.least:g} and {self.most:g}"
        return " or ".join([number, *map(repr, self.words)])


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these values."""

    values: tuple[Any, ...]

    def fits(self, value: Any) -> bool:
        return any(value is it or (isinstance(value, str) and value == it) for it in self.values)

    def __str__(self) -> str:
        return " or ".join(str(it).lower() if isinstance(it, bool) else str(it) for it in self.values)


Options = Mapping[str, Number | OneOf]

SWITCH = OneOf((True, False))
SHARE = Number(0, 1)
COUNT = Number(1, 1_000_000, whole=True)
POSITIVE = Number(1e-12, 1e6)
WEIGHT = Number(0, 1e6)
LEARNING: Options = {"learning_rate": Number(1e-12, 1), "learning_rate_schedule": OneOf(("constant", "linear")),
                     "gamma": SHARE}  # fmt: skip
ON_POLICY: Options = {
    **LEARNING, "n_steps": COUNT, "gae_lambda": SHARE, "ent_coef": WEIGHT, "vf_coef": WEIGHT,
    "max_grad_norm": POSITIVE, "normalize_advantage": SWITCH,
}  # fmt: skip
OFF_POLICY: Options = {
    **LEARNING, "buffer_size": Number(1, 10_000_000, whole=True), "learning_starts": Number(0, 10_000_000, whole=True),
    "batch_size": COUNT, "tau": SHARE, "train_freq": COUNT, "gradient_steps": Number(-1, 10_000, whole=True),
    "target_update_interval": COUNT, "n_steps": Number(1, 1_000, whole=True),
}  # fmt: skip
ALGORITHMS: Mapping[str, Options] = {
    "PPO": {**ON_POLICY, "batch_size": Number(2, 1_000_000, whole=True), "n_epochs": Number(1, 1_000, whole=True),
            "clip_range": Number(1e-6, 10), "clip_range_vf": Number(1e-6, inf), "target_kl": POSITIVE},
    "A2C": {**ON_POLICY, "rms_prop_eps": Number(1e-12, 1), "use_rms_prop": SWITCH},
    "SAC": {**OFF_POLICY, "ent_coef": Number(0, 1e6, words=("auto",)),
            "target_entropy": Number(-1e6, 1e6, words=("auto",))},
    "DQN": {**OFF_POLICY, "exploration_fraction": SHARE, "exploration_initial_eps": SHARE,
            "exploration_final_eps": SHARE, "max_grad_norm": POSITIVE},
}  # fmt: skip
"""The `hyperparameters` of each algorithm, by Stable-Baselines3's own names; defaults are its own."""

NETWORK: Options = {"hidden_units": Number(1, 4096, whole=True), "num_layers": Number(0, 10, whole=True),
                    "activation": OneOf(("tanh", "relu"))}  # fmt: skip
ENTRY: Options = {"policy": OneOf(("MlpPolicy", "CnnPolicy")), "summary_freq": Number(1, 10**9, whole=True)}
"""What stands beside `hyperparameters` and `network_settings`, in a behaviour's entry and in a job."""
OF_THE_JOB = {"max_steps", "checkpoint_interval", "keep_checkpoints"}
"""Also in a behaviour's entry; the job decides them."""


def resolve(entry: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """A behaviour's entry of `behaviors:` with a job's `hyperparameters` laid over it, everything checked.

    Raises ValueError with a sentence that names the option and says what would be right.
    """
    entry = _numbers(entry)
    algorithm = str(entry.get("algorithm"))
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be {_names(ALGORITHMS)}, not {algorithm!r}.")
    options = ALGORITHMS[algorithm]
    _check(entry, {*ENTRY, "algorithm", "hyperparameters", "network_settings", *OF_THE_JOB}, algorithm)
    _check(overlay, {*ENTRY, "network_settings", *options}, algorithm)
    own = {name: value for name, value in (*entry.items(), *overlay.items()) if name in ENTRY}
    return {
        "algorithm": algorithm,
        **_fitting(own, ENTRY, algorithm),
        "network_settings": _fitting(_section(entry, "network_settings") | _section(overlay, "network_settings"),
                                     NETWORK, "network_settings"),
        "hyperparameters": _fitting(_section(entry, "hyperparameters")
                                    | {name: value for name, value in overlay.items() if name in options},
                                    options, algorithm),
    }  # fmt: skip


def _numbers(value: Any) -> Any:
    """YAML 1.1 reads 3e-4 as text; it is taken for the number that it looks like."""
    if isinstance(value, Mapping):
        return {name: _numbers(its) for name, its in value.items()}
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _section(of: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = of.get(name) or {}
    if not isinstance(section, Mapping):
        raise ValueError(f"{name} must hold options by name, not {str(section)[:100]!r}.")
    return dict(section)


def _fitting(values: dict[str, Any], options: Options, where: str) -> dict[str, Any]:
    _check(values, {*options}, where)
    for name, value in values.items():
        if not options[name].fits(value):
            raise ValueError(f"{name} must be {options[name]}, not {str(value)[:100]!r}.")
    return values


def _check(names: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(str(name)[:100] for name in names if name not in known)
    if unknown:
        raise ValueError(f"{where} has no option {unknown[0]!r}. Its options: {_names(known)}.")


def _names(of: Mapping[str, Any] | set[str]) -> str:
    return ", ".join(sorted(of))
