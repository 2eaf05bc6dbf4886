"""As many trainings lie in the broker as nodes have free slots, and one more; what is shared is counted once."""

from typing import Any

from coordinator.dispatching.placement import Present
from coordinator.dispatching.windows import Windows
from wire.jobs import Has
from wire.names import train_queue

GPU: dict[str, Any] = {"gpu": True}
USUAL, FOR_GPU = train_queue({}), train_queue(GPU)


def node(slots: int, trainings: int = 0, refused: str | None = None, **has: Any) -> Present:
    return Present("lab", Has(slots=slots, **has), trainings, refused)


def sent(windows: Windows, queue: str = USUAL, requires: dict[str, Any] | None = None) -> int:
    """How many are sent until there is no more room."""
    count = 0
    while windows.has_room(queue, requires or {}) and count < 100:
        windows.add(queue)
        count += 1
    return count


def test_without_a_node_one_is_sent() -> None:
    assert (Windows([], []).most, sent(Windows([], []))) == (1, 1)


def test_one_more_is_sent_than_slots_are_free() -> None:
    assert sent(Windows([node(4, 1), node(2, 2)], [])) == 4
    assert Windows([node(4, 1), node(2, 2)], []).most == 4


def test_what_lies_there_already_counts() -> None:
    assert sent(Windows([node(4)], [(USUAL, {}, 2), (USUAL, {}, 1)])) == 2


def test_a_node_that_has_more_than_its_slots_takes_nothing_from_others() -> None:
    assert sent(Windows([node(2, 3), node(2)], [])) == 3


def test_nodes_that_take_nothing_new_do_not_count() -> None:
    assert sent(Windows([node(4, refused="It is being shut down."), node(4, full="No disk.")], [])) == 1


def test_two_queues_share_the_slots_of_a_node_that_takes_from_both() -> None:
    windows = Windows([node(3, gpus=("A100",))], [])
    assert (sent(windows, FOR_GPU, GPU), sent(windows)) == (4, 0)


def test_what_no_node_takes_keeps_nothing_else_waiting() -> None:
    assert sent(Windows([node(3)], [(FOR_GPU, GPU, 7)])) == 4


def test_what_waits_for_a_busy_node_counts_for_one_at_the_others() -> None:
    busy, free = node(8, 8, gpus=("A100",)), node(3)
    assert sent(Windows([busy, free], [(FOR_GPU, GPU, 5)])) == 3
