"""The files by which the platform is deployed, as tests read them: env.sample, docker-compose.yml, the Procfile."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_LINE = re.compile(r"^(#?)([A-Z][A-Z0-9_]*)=(.*)$")
COMPOSE_VARIABLE = re.compile(r"\$\$|\$\{([A-Z][A-Z0-9_]*)(?::([-?])([^}]*))?\}")
SHELL_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*):-([^}]*)\}")


@dataclass(frozen=True)
class Setting:
    """One variable of env.sample: its value there, whether the line counts when copied, the comment above."""

    value: str
    is_set: bool
    meaning: str


def sample_settings() -> dict[str, Setting]:
    """Every variable that env.sample names."""
    settings: dict[str, Setting] = {}
    above = ""
    for line in (ROOT / "env.sample").read_text().splitlines():
        if found := SAMPLE_LINE.match(line):
            name = found[2]
            assert name not in settings, f"{name} stands twice in env.sample"
            settings[name] = Setting(found[3], not found[1], above)
            above = ""
        else:
            above = line.removeprefix("#").strip() if line.startswith("#") else ""
    return settings


def compose_text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


def compose(environment: Mapping[str, str] | None = None) -> Any:
    """docker-compose.yml as compose sees it: merged, and interpolated where an environment is given."""
    return _interpolate(yaml.safe_load(compose_text()), environment) if environment else yaml.safe_load(compose_text())


def compose_variables() -> dict[str, set[tuple[str, str]]]:
    """The variables that compose itself fills in, each with how it is written: (":-", default) or (":?", sentence)."""
    found: dict[str, set[tuple[str, str]]] = {}
    for match in COMPOSE_VARIABLE.finditer(compose_text()):
        if match[1]:
            found.setdefault(match[1], set()).add((match[2] or "", match[3] or ""))
    return found


def procfile_variables() -> dict[str, str]:
    """The variables in the Procfile's commands with the defaults they have there."""
    return dict(SHELL_VARIABLE.findall((ROOT / "Procfile").read_text()))


def _interpolate(node: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _interpolate(value, environment) for key, value in node.items()}
    if isinstance(node, list):
        return [_interpolate(value, environment) for value in node]
    return COMPOSE_VARIABLE.sub(lambda found: _value(found, environment), node) if isinstance(node, str) else node


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    if not found[1]:
        return "$"
    if value := environment.get(found[1]):
        return value
    if found[2] == "?":
        raise KeyError(found[3])
    return found[3] or ""
