"""Slots: each training holds one, and takes its turn among the devices."""

from pathlib import Path

from node.slots import device_of, hold_slot


def test_trainings_at_the_same_time_hold_different_slots_and_free_them(tmp_path: Path) -> None:
    with hold_slot(tmp_path) as first:
        with hold_slot(tmp_path) as second, hold_slot(tmp_path) as third:
            assert (first, second, third) == (0, 1, 2)
        with hold_slot(tmp_path) as again:
            assert again == 1
    with hold_slot(tmp_path) as again:
        assert again == 0


def test_another_node_on_the_machine_has_slots_of_its_own(tmp_path: Path) -> None:
    with hold_slot(tmp_path / "a") as one, hold_slot(tmp_path / "b") as other:
        assert (one, other) == (0, 0)


def test_slots_take_the_devices_in_turn() -> None:
    assert [device_of(slot, ["cuda:0", "cuda:1"]) for slot in range(5)] == ["cuda:0", "cuda:1"] * 2 + ["cuda:0"]
    assert [device_of(slot, ["cpu"]) for slot in range(2)] == ["cpu", "cpu"]
