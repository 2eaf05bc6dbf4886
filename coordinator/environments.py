"""The environment builds that jobs may name: read from their manifests when the process starts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wire import trainers
from wire.codec import decode

from .errors import BadConfiguration, BadRequest

TRAINERS = {its.kind: name for name, its in trainers.TRAINERS.items()}
"""Which trainer trains in an environment of that kind."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Smallest and largest value that a job may ask for, both included."""

    least: int
    most: int

    def check(self, name: str, value: int) -> None:
        """Raises BadRequest."""
        if not self.least <= value <= self.most:
            raise BadRequest(f"{name} must be between {self.least} and {self.most}, not {value}.")


@dataclass(frozen=True, slots=True)
class Environment:
    """A build: the behaviours that can be trained in it, with the steps each allows."""

    env_id: str
    areas: Limits
    behaviours: dict[str, Limits]
    manifest: dict[str, Any]
    """As it is written, each behaviour with its `configuration`."""
    kind: str = trainers.DEFAULT_KIND

    @property
    def trainer(self) -> str:
        """What trains in it, as nodes call it."""
        return TRAINERS[self.kind]


class Catalogue:
    """The environments of a folder, one in each of its subfolders with a manifest.json."""

    def __init__(self, folder: Path) -> None:
        manifests = sorted(folder.glob("*/manifest.json"))
        self.environments = {it.env_id: it for it in (_load(path) for path in manifests)}

    def check(self, env_id: str, behaviour: str, steps: int, num_of_areas: int) -> None:
        """Raises BadRequest with what would be right, where the job asks for what there is not."""
        environment = self.environments.get(env_id)
        if environment is None:
            raise BadRequest(f"There is no environment {env_id!r}. Available: {_names(self.environments)}.")
        if behaviour not in environment.behaviours:
            raise BadRequest(f"Environment {env_id!r} has no behaviour {behaviour!r}. Its behaviours: "
                             f"{_names(environment.behaviours)}.")  # fmt: skip
        environment.behaviours[behaviour].check("nn_model_config.steps", steps)
        environment.areas.check("env_config.num_of_areas", num_of_areas)

    def trainer(self, env_id: str) -> str:
        """Of an environment that there is."""
        return self.environments[env_id].trainer

    def behaviour(self, env_id: str, behaviour: str) -> dict[str, Any]:
        """The manifest's entry of one that was checked."""
        return dict(self.environments[env_id].manifest["behaviours"][behaviour])


def _load(path: Path) -> Environment:
    try:
        manifest = decode(path.read_bytes())
        behaviours = {name: _limits(it["steps"]) for name, it in manifest["behaviours"].items()}
        if manifest["env_id"] != path.parent.name:
            raise ValueError(f"its env_id {manifest['env_id']!r} is not its folder's name, where nodes look for it")
        kind = manifest.get("kind", trainers.DEFAULT_KIND)
        if kind not in TRAINERS:
            raise ValueError(f"its kind is {kind!r}, not {' or '.join(TRAINERS)}")
        for name, it in manifest["behaviours"].items():
            it.setdefault("configuration", _yaml(path.parent / str(it.get("config", f"{name}.yaml"))))
        return Environment(str(manifest["env_id"]), _limits(manifest["areas"]), behaviours, manifest, kind)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadConfiguration(f"{path} is not an environment's manifest: {error!r}.") from error


def _yaml(path: Path) -> Any:
    """None where there is none, or none that can be read: the node says so when it trains."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _limits(value: dict[str, Any]) -> Limits:
    return Limits(int(value["min"]), int(value["max"]))


def _names(of: dict[str, Any]) -> str:
    return ", ".join(sorted(of)) or "none"
