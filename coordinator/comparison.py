"""What a rerun has shown: whether metrics, model and checkpoint are bit-identical, and where the bundles differ.

Pure: it compares what was kept of two runs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
MOST_LINES = 200
MOST_NAMED = 5  # lines in the sentence


@dataclass(frozen=True, slots=True)
class Run:
    """What counts of one run. `metrics` are its summaries in order, without what a clock has said."""

    state: str
    error: str | None
    attempts: int
    bundle: Mapping[str, Any] | None
    metrics: Sequence[Mapping[str, Any]]
    files: Mapping[str, str] = field(default_factory=dict)
    """Kind ("model", "checkpoint") to the newest one's SHA-256."""


def compare(then: Run, now: Run) -> Json:
    """`identical` is only said of a rerun that succeeded and left the same metrics, model and checkpoint."""
    metrics = _metrics(then.metrics, now.metrics)
    files = {kind: _file(then.files.get(kind), now.files.get(kind)) for kind in ("model", "checkpoint")}
    lines = list(_differences(_lines_of(then), _lines_of(now)))
    same = now.state == "SUCCEEDED" and metrics["identical"] and all(it["identical"] for it in files.values())
    found = {"identical": same, "metrics": metrics, **files, "differences": lines[:MOST_LINES]}
    return found | {"summary": _summary(now, found)}


def _metrics(then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Json:
    for one, other in zip(then, now, strict=False):
        names = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
        if names:
            line = names[0]
            first = {"step": one["step"], "line": line, "then": one.get(line), "now": other.get(line)}
            return {"identical": False, "summaries": [len(then), len(now)], "first_difference": first}
    same = bool(then) and len(then) == len(now)
    return {"identical": same, "summaries": [len(then), len(now)], "first_difference": None}


def _file(then: str | None, now: str | None) -> Json:
    return {"identical": then == now, "then": then, "now": now}


def _lines_of(run: Run) -> dict[str, Any]:
    return {**flat(run.bundle or {}), "attempts": run.attempts, "bundle": "kept" if run.bundle else None}


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as lines: {"packages.torch": "2.13.0"}. A list is one line."""
    lines: dict[str, Any] = {}
    for name, its in value.items():
        lines |= flat(its, f"{prefix}{name}.") if isinstance(its, Mapping) and its else {prefix + name: its}
    return lines


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Json]:
    for line in sorted({*then, *now}):
        if then.get(line) != now.get(line):
            yield {"line": line, "then": then.get(line), "now": now.get(line)}


def _summary(now: Run, found: Json) -> str:
    lines = [it["line"] for it in found["differences"]]
    more = f" and {len(lines) - MOST_NAMED} more" if len(lines) > MOST_NAMED else ""
    bundles = f"The bundles differ in {', '.join(lines[:MOST_NAMED])}{more}." if lines else "The bundles are the same."
    if now.state != "SUCCEEDED":
        return f"The rerun ended as {now.state}{f': {now.error}' if now.error else '.'} {bundles}"
    if found["identical"]:
        return f"Bit-identical: {found['metrics']['summaries'][0]} summaries, the model and the checkpoint. {bundles}"
    return f"Not identical: {_what_differs(found)}. {bundles}"


def _what_differs(found: Json) -> str:
    metrics, first = found["metrics"], found["metrics"]["first_difference"]
    told = [f"the {kind} differs" for kind in ("model", "checkpoint") if not found[kind]["identical"]]
    if first:
        told.insert(0, f"the metrics differ from step {first['step']} on ({first['line']})")
    elif not metrics["identical"]:
        told.insert(0, f"there are {metrics['summaries'][1]} summaries instead of {metrics['summaries'][0]}")
    return ", ".join(told)
