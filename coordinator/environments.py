"""The environments that jobs may name: those uploaded to the store, and those that come with the installation."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from wire import trainers
from wire.codec import decode

from .errors import BadConfiguration, BadRequest

TRAINERS = {its.kind: name for name, its in trainers.TRAINERS.items()}
"""Which trainer trains in an environment of that kind."""
KNOWN_SECONDS = 1.0
"""So long, what the store has for a name is not looked up again: a busy game costs it one query a second."""
MOST_KNOWN = 1_000
MOST_NAMED = 20


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
    """One version of an environment: its behaviours, with the steps that each allows."""

    env_id: str
    areas: Limits
    behaviours: dict[str, Limits]
    kind: str = trainers.DEFAULT_KIND
    manifest: dict[str, Any] = field(default_factory=dict)
    """As it is written, each behaviour with its `configuration`."""
    num_envs: Limits | None = None
    version: str | None = None
    build_id: UUID | None = None
    """None: a build that nodes have in their ENVIRONMENTS_DIR."""

    @property
    def trainer(self) -> str:
        """What trains in it, as nodes call it."""
        return TRAINERS[self.kind]

    def behaviour(self, name: str) -> dict[str, Any]:
        """The manifest's entry of one that it has."""
        return dict(self.manifest["behaviours"][name])

    def check(self, behaviour: str, steps: int, num_of_areas: int, num_envs: int = 1) -> None:
        """Raises BadRequest with what would be right, where a job asks for what it does not have."""
        if behaviour not in self.behaviours:
            raise BadRequest(f"Environment {self.env_id!r} has no behaviour {behaviour!r}. Its behaviours: "
                             f"{names(self.behaviours)}.")  # fmt: skip
        self.behaviours[behaviour].check("nn_model_config.steps", steps)
        self.areas.check("env_config.num_of_areas", num_of_areas)
        if self.num_envs:
            self.num_envs.check("num_envs", num_envs)


class Store:
    """What the catalogue asks of the environment store. This one is empty; that of the database is in builds.py."""

    def ready(self, env_id: str, version: str | None) -> Environment | None:
        """The newest READY version, or this one if it is READY."""
        return None

    def build(self, build_id: UUID) -> Environment | None:
        """Of a build that is or was READY."""
        return None

    def versions(self, env_id: str) -> list[str]:
        """Those that are READY, newest first."""
        return []

    def env_ids(self) -> list[str]:
        """Those of which a version is READY."""
        return []


class Catalogue:
    """The store, and the environments of a folder, one in each of its subfolders with a manifest.json."""

    def __init__(self, folder: Path, store: Store | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        manifests = sorted(folder.glob("*/manifest.json"))
        self.environments = {it.env_id: it for it in (_load(path) for path in manifests)}
        self._store, self._clock = store or Store(), clock
        self._known: dict[str, tuple[float, Environment | None]] = {}

    def choose(self, env_id: str, behaviour: str, steps: int, num_of_areas: int, num_envs: int = 1) -> Environment:
        """The build that a new job trains in: the newest version, or that of "name@version".

        Raises BadRequest with what would be right, where the job asks for what there is not.
        """
        chosen = self._in_store(env_id) or self._in_folder(env_id) or self._refuse(env_id)
        chosen.check(behaviour, steps, num_of_areas, num_envs)
        return chosen

    def pinned(self, env_id: str, build_id: UUID | None) -> Environment:
        """What a job has been training in, also when it was retired or has newer versions. Raises BadRequest."""
        if build_id is not None:
            return self._store.build(build_id) or self._refuse(env_id)
        return self.environments.get(env_id.partition("@")[0]) or self._refuse(env_id)

    def forget(self, env_id: str) -> None:
        """What the store has of it has just changed."""
        for key in [key for key in self._known if key.partition("@")[0] == env_id]:
            self._known.pop(key, None)

    def _in_store(self, env_id: str) -> Environment | None:
        known, now = self._known.get(env_id), self._clock()
        if known and now < known[0]:
            return known[1]
        name, _, version = env_id.partition("@")
        found = self._store.ready(name, version or None)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[env_id] = (now + KNOWN_SECONDS, found)
        return found

    def _in_folder(self, env_id: str) -> Environment | None:
        name, at, version = env_id.partition("@")
        found = self.environments.get(name)
        return found if found and (not at or version == found.version) else None

    def _refuse(self, env_id: str) -> Environment:
        name, _, version = env_id.partition("@")
        versions = self._store.versions(name)
        if name in self.environments:
            versions.append(self.environments[name].version or "")
        if versions:
            raise BadRequest(f"Environment {name!r} has no version {version!r} that is ready. It has: "
                             f"{', '.join(versions[:MOST_NAMED])}.")  # fmt: skip
        raise BadRequest(
            f"There is no environment {env_id!r}. Available: {names({*self.environments, *self._store.env_ids()})}."
        )


def environment_of(manifest: dict[str, Any], build_id: UUID | None = None) -> Environment:
    """What a manifest says. Raises ValueError, KeyError, TypeError or AttributeError when it says it wrongly."""
    behaviours = {name: _limits(it["steps"]) for name, it in manifest["behaviours"].items()}
    kind, version, num_envs = (
        manifest.get("kind", trainers.DEFAULT_KIND),
        manifest.get("version"),
        manifest.get("num_envs"),
    )
    if kind not in TRAINERS:
        raise ValueError(f"its kind is {kind!r}, not {' or '.join(TRAINERS)}")
    return Environment(
        str(manifest["env_id"]), _limits(manifest["areas"]), behaviours, kind, manifest,
        _limits(num_envs) if num_envs else None, str(version) if version else None, build_id,
    )  # fmt: skip


def _load(path: Path) -> Environment:
    try:
        manifest = decode(path.read_bytes())
        if manifest["env_id"] != path.parent.name:
            raise ValueError(f"its env_id {manifest['env_id']!r} is not its folder's name, where nodes look for it")
        found = environment_of(manifest)
        for name, it in manifest["behaviours"].items():
            it.setdefault("configuration", _yaml(path.parent / str(it.get("config", f"{name}.yaml"))))
        return found
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


def names(of: Any) -> str:
    """Some of them, in order."""
    found = sorted(of)
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return (", ".join(found[:MOST_NAMED]) or "none") + more
