"""Checks of the machine itself: Python, cores, memory, disk, trainers, GPUs, ports."""

from __future__ import annotations

from collections.abc import Iterator

from . import capacity, inventory, ports
from .check import FAILED, NOTE, PASSED, Check, Finding, python_version
from .config import Config
from .trainers.base import TRAINERS

LEAST_MEMORY_MB = 1_000
"""A training with the reference environment takes about 700 MB."""
INSTALL = (
    "Install it there, with pip install --no-deps --require-hashes: -r locks/requirements-node.txt "
    "-r locks/requirements-node-cuda.txt, then --ignore-requires-python -r locks/requirements-node-mlagents.txt."
)


def python(config: Config) -> Iterator[Finding]:
    """The node's Python."""
    yield Finding(PASSED, f"Python {python_version()} runs the node.")


def cores_and_memory(config: Config) -> Iterator[Finding]:
    """What each slot gets."""
    cores, slots, memory = capacity.cores(), config.node_slots, capacity.memory_mb_per_slot(config)
    threads = capacity.threads_per_slot(config)
    share = f"{slots} slot{'s' if slots > 1 else ''}: each trains with {threads} thread{'s' if threads > 1 else ''}"
    yield Finding(PASSED, f"{cores} core{'s' if cores > 1 else ''} for {share} (TRAINER_THREADS).")
    if threads * slots > cores:
        yield Finding(NOTE, f"{slots} slots of {threads} threads are more than the {cores} cores:",
                      "trainings will slow each other down.")  # fmt: skip
    enough = f"{memory} MB of memory for each slot (NODE_MEMORY_MB)"
    if memory < LEAST_MEMORY_MB:
        yield Finding(
            FAILED,
            f"{enough}; a training needs at least {LEAST_MEMORY_MB} MB.",
            "Set fewer NODE_SLOTS, or a larger NODE_MEMORY_MB.",
        )
    elif memory * slots > capacity.memory_mb():
        yield Finding(FAILED, f"{enough}, but the machine has {capacity.memory_mb()} MB for all {slots}.",
                      "Set a smaller NODE_MEMORY_MB or NODE_SLOTS.")  # fmt: skip
    else:
        yield Finding(PASSED, f"{enough}.")


def disk(config: Config) -> Iterator[Finding]:
    """Room for the trainings' files."""
    try:
        free = capacity.free_disk_mb(config)
        probe = config.slots_dir.parent / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        yield Finding(FAILED, f"{config.node_data_dir} cannot be written to: {error.strerror}.",
                      "NODE_DATA_DIR must be a folder of this user.")  # fmt: skip
        return
    why = inventory.why_full(config, free)
    advice = "Free some, or set another NODE_DATA_DIR." if why else ""
    yield Finding(
        FAILED if why else PASSED, why or f"{free} MB free in {config.node_data_dir} (NODE_DATA_DIR).", advice
    )


def trainers(config: Config) -> Iterator[Finding]:
    """The trainers, in their own Python."""
    try:
        found = inventory.ask(config)
    except inventory.CannotAsk as error:
        yield Finding(FAILED, str(error), "TRAINER_PYTHON must be the path of a Python that has ML-Agents.")
        return
    yield Finding(PASSED, f"Python {found['python']} runs the trainers ({config.trainer_python}).")
    there = [name for name in TRAINERS if inventory.has_all(name, found["packages"])]
    for name in TRAINERS:
        yield _trainer(name, found["packages"], needed=not there)
    yield from _gpus(config, found["gpus"])


def _trainer(name: str, versions: dict[str, str | None], needed: bool) -> Finding:
    packages = inventory.packages_of(name)
    missing = [package for package in packages if not versions.get(package)]
    if missing:
        return Finding(FAILED if needed else NOTE, f"Trainer {name}: {', '.join(missing)} missing.", INSTALL)
    return Finding(PASSED, f"Trainer {name}: {', '.join(f'{package} {versions[package]}' for package in packages)}.")


def _gpus(config: Config, names: list[str]) -> Iterator[Finding]:
    if config.devices == ["cpu"]:
        yield Finding(NOTE, "No GPU is used: TRAINER_DEVICE is cpu.")
    elif len(names) < len(config.devices):
        yield Finding(FAILED, f"PyTorch finds {len(names) or 'none'} of the GPUs {', '.join(config.devices)}.",
                      "Check the driver and that PyTorch is a build with CUDA, or set TRAINER_DEVICE=cpu.")  # fmt: skip
    else:
        yield Finding(PASSED, f"GPU: {', '.join(names)}, shared by {config.node_slots} slots (TRAINER_DEVICE).")


def free_ports(config: Config) -> Iterator[Finding]:
    """Ports between trainers and environments."""
    try:
        with ports.hold_base_port(config.node_slots) as port:
            yield Finding(PASSED, f"Ports for environments are free, such as {port}.")
    except ports.NoPortLeft as error:
        yield Finding(FAILED, str(error))
    host, port = config.bridge_listen
    if ports.is_free(port):
        yield Finding(PASSED, f"The bridge's port {port} is free (BRIDGE_ADDRESS).")
    else:
        yield Finding(NOTE, f"The bridge's port {port} on {host} is in use:",
                      "by this node where it runs, else by a program that keeps environments from it.")  # fmt: skip


CHECKS: tuple[Check, ...] = (python, cores_and_memory, disk, trainers, free_ports)
