"""Looks at one thing after the other that a node needs, and prints a line about each. Nothing here raises."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from .config import Config

PASSED, FAILED, NOTE = True, False, None
MARKS = {PASSED: ("✓", "ok", "32"), FAILED: ("✗", "NO", "31"), NOTE: ("–", "--", "2")}


@dataclass(frozen=True)
class Finding:
    """One line: `is_good` None is a note, which does no harm; `advice` says what to do."""

    is_good: bool | None
    what: str
    advice: str = ""


Check = Callable[[Config], Iterator[Finding]]


def run(out: TextIO, environment: Mapping[str, str] = os.environ, with_training: bool = True) -> int:
    """Prints all findings; 0 when this machine can train, else 1."""
    from . import check_machine, check_platform, check_training

    checks: list[Check] = [*check_machine.CHECKS, *check_platform.CHECKS, check_training.environments]
    wrong = report(out, environment, [*checks, *([check_training.training] if with_training else [])])
    print(f"\n{_summary(wrong)}", file=out)
    return 1 if wrong else 0


def report(out: TextIO, environment: Mapping[str, str], checks: Sequence[Check]) -> int:
    """Prints what these checks find, and returns how much of it is wrong."""
    findings = []
    for finding in look(environment, checks):
        findings.append(finding)
        _print(out, finding)
    return sum(finding.is_good is FAILED for finding in findings)


def look(environment: Mapping[str, str], checks: Sequence[Check]) -> Iterator[Finding]:
    """All findings, as they are made."""
    values, wrong = Config.read(environment, "broker_url", "node_token")
    yield from (Finding(FAILED, f"Setting {line}.", "env.sample says what each setting means.") for line in wrong)
    config = Config(**values)
    for check in checks:
        yield from _safely(check, config)


def _safely(check: Check, config: Config) -> Iterator[Finding]:
    try:
        yield from check(config)
    except Exception as error:  # whatever the machine has in store, the other checks go on
        about = (check.__doc__ or check.__name__).rstrip(".")
        yield Finding(FAILED, f"{about}: this could not be checked ({type(error).__name__}: {error}).")


def _print(out: TextIO, finding: Finding) -> None:
    sign, plain, colour = MARKS[finding.is_good]
    speaks_unicode = (out.encoding or "ascii").lower().replace("-", "") == "utf8"
    mark = sign if speaks_unicode else plain
    mark = f"\033[{colour}m{mark}\033[0m" if out.isatty() else mark
    advice = f" {finding.advice}" if finding.advice else ""
    line = f"{mark} {' '.join((finding.what + advice).split())}"
    print(line if speaks_unicode else line.encode("ascii", "replace").decode(), file=out, flush=True)


def _summary(wrong: int) -> str:
    if not wrong:
        return "This machine can train."
    return f"This machine cannot train yet: {wrong} {'thing is' if wrong == 1 else 'things are'} missing."


def python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))
