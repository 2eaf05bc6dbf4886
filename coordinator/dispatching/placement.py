"""Which node can train which job, and why a job waits when none can. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from wire.jobs import Has
from wire.names import DEFAULT_TRAINER, train_queue

Requires = dict[str, Any]
BUSY = "All nodes that fit are busy."
NOBODY = "No node is there."


@dataclass(frozen=True, slots=True)
class Present:
    """A node that is there, and how many trainings it has."""

    name: str
    has: Has
    trainings: int = 0
    refused: str | None = None
    """Why it is given no work, in a sentence."""

    @property
    def closed(self) -> str | None:
        """Why it takes no new training, were there ever so many free slots; None: it does."""
        return self.refused or self.has.full

    @property
    def is_busy(self) -> bool:
        return self.trainings >= self.has.slots


def lacks(has: Has, requires: Requires) -> str | None:
    """What the job asks for and the node has not, as in "a GPU"; None where the node fits."""
    return next((what for what, is_met in _wishes(requires) if not is_met(has)), None)


def queues_for(has: Has, waiting: Iterable[tuple[str, Requires]]) -> list[str]:
    """The queues that a node is to take trainings from: the usual ones of its trainers, and of the (queue, requires)
    in which jobs wait, those that it fits."""
    usual = [_usual(trainer) for trainer in has.trainers]
    queues = [train_queue(requires) for requires in usual if lacks(has, requires) is None]
    queues += [queue for queue, requires in waiting if lacks(has, requires) is None]
    return list(dict.fromkeys(queues))


def why_it_waits(nodes: list[Present], requires: Requires) -> str | None:
    """Why no node takes a job that asks for this, in a sentence; None where one will at any moment."""
    if not nodes:
        return NOBODY
    fitting = [node for node in nodes if lacks(node.has, requires) is None]
    if not fitting:
        return _nobody_has(nodes, requires)
    willing = [node for node in fitting if node.closed is None]
    if not willing:
        return f"No node that fits takes new trainings. {fitting[0].name}: {fitting[0].closed}"
    return BUSY if all(node.is_busy for node in willing) else None


def needs(requires: Requires, trainer: str) -> Requires:
    """All that a node must have: what the job asks for, and its trainer where that is not the usual one.

    In one form only, so that jobs that ask for the same wait in the same queue.
    """
    labels = {"labels": sorted(set(requires["labels"]))} if requires.get("labels") else {}
    asked = {name: value for name, value in requires.items() if name in ("gpu", "memory_mb") and value}
    return asked | labels | _usual(trainer)


def _usual(trainer: str) -> Requires:
    return {} if trainer == DEFAULT_TRAINER else {"trainer": trainer}


def _wishes(requires: Requires) -> list[tuple[str, Callable[[Has], bool]]]:
    """Each thing that is asked for, and whether a node has it."""
    trainer, memory = requires.get("trainer", DEFAULT_TRAINER), int(requires.get("memory_mb") or 0)
    wishes: list[tuple[str, Callable[[Has], bool]]] = [
        (f"the trainer {trainer!r}", lambda has: trainer in has.trainers),
        ("a GPU", lambda has: bool(has.gpus) or not requires.get("gpu")),
    ]
    wishes += [(f"the label {it!r}", lambda has, it=it: it in has.labels) for it in requires.get("labels", [])]  # type: ignore[misc]
    return [*wishes, (f"{memory} MB of memory for a job", lambda has: has.memory_mb >= memory)]


def _nobody_has(nodes: list[Present], requires: Requires) -> str:
    """Names what no node has; or where each thing is somewhere, that no node has all of it."""
    wishes = _wishes(requires)
    for what, is_met in wishes:
        if not any(is_met(node.has) for node in nodes):
            largest = f"; the largest has {max(node.has.memory_mb for node in nodes)} MB" if " MB of " in what else ""
            return f"No node has {what}{largest}."
    wanted = [what for what, is_met in wishes if not all(is_met(node.has) for node in nodes)]
    return f"No node has all of this together: {', '.join(wanted)}."
