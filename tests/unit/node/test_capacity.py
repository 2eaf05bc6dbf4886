"""What a machine has for each of its slots, also within the limits of a container."""

import os
from pathlib import Path

import pytest

from node.capacity import cores, memory_mb, memory_mb_per_slot, threads_per_slot
from node.config import BadConfiguration, Config

HERE = len(os.sched_getaffinity(0))


def write(root: Path, **files: str) -> Path:
    """A machine with 16 GB and these files."""
    for name, content in {"proc/meminfo": "MemTotal:       16777216 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_a_machine_without_limits_has_all_its_cores_and_memory(tmp_path: Path) -> None:
    root = write(tmp_path, **{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n",
                              "sys/fs/cgroup/memory.max": "max\n"})  # fmt: skip
    assert (cores(root), memory_mb(root)) == (HERE, 16_384)
    assert (cores(tmp_path / "nothing"), memory_mb(write(tmp_path / "bare"))) == (HERE, 16_384)


def test_the_quota_of_a_container_counts_also_that_of_a_group_around(tmp_path: Path) -> None:
    root = write(tmp_path, **{"proc/self/cgroup": "0::/kube/pod\n", "sys/fs/cgroup/kube/cpu.max": "150000 100000\n",
                              "sys/fs/cgroup/kube/pod/memory.max": f"{2**31}\n"})  # fmt: skip
    assert (cores(root), memory_mb(root)) == (1, 2_048)


def test_control_groups_of_version_1_count_too(tmp_path: Path) -> None:
    groups = "4:memory:/docker/x\n1:cpu,cpuacct:/docker/x\n0::/\n"
    root = write(tmp_path, **{
        "proc/self/cgroup": groups, "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}",
        "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": f"{2**30}",
        "sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us": "50000",
        "sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us": "100000",
    })  # fmt: skip
    assert (cores(root), memory_mb(root)) == (1, 1_024)


def test_slots_divide_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.capacity.cores", lambda: 8)
    monkeypatch.setattr("node.capacity.memory_mb", lambda: 34_048)
    divided = [(threads_per_slot(Config(node_slots=n)), memory_mb_per_slot(Config(node_slots=n))) for n in (1, 3, 16)]
    assert divided == [(7, 32_000), (1, 10_666), (1, 2_000)]
    given = Config(node_slots=4, trainer_threads=3, node_memory_mb=123)
    assert (threads_per_slot(given), memory_mb_per_slot(given)) == (3, 123)


def settings(**variables: str) -> Config:
    return Config.from_environment({"BROKER_URL": "amqp://x", "NODE_TOKEN": "t", **variables})


def test_labels_and_devices_are_lists() -> None:
    config = settings(NODE_LABELS="lab-2, a100,a100", TRAINER_DEVICE="cuda:0, cuda:1", TRAINER_THREADS="0")
    assert (config.labels, config.devices, config.trainer_threads) == (["a100", "lab-2"], ["cuda:0", "cuda:1"], 0)
    assert (settings().labels, settings().devices) == ([], ["cpu"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("NODE_LABELS", "two words"), ("NODE_LABELS", "a,,b"), ("NODE_LABELS", "é"), ("TRAINER_DEVICE", "tpu"),
     ("TRAINER_DEVICE", "cpu,cuda"), ("TRAINER_THREADS", "-1"), ("NODE_MEMORY_MB", "much"), ("STALL_SECONDS", "0")],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(BadConfiguration, match=f"{name}: must be"):
        settings(**{name: value})
