"""The broker's confirms: in any order, one by one or many at once; what was not confirmed counts as not sent."""

import pytest
from amqp.exceptions import MessageNacked

from coordinator.broker import Confirms


def after(sent: int, *acks: tuple[int, bool]) -> bool:
    confirms = Confirms()
    for _ in range(sent):
        confirms.sent()
    for ack in acks:
        confirms.acked(*ack)
    return confirms.are_complete


@pytest.mark.parametrize("acks", [
    [(1, False), (2, False), (3, False)], [(3, True)], [(1, False), (3, True)], [(3, False), (2, True)],
    [(2, False), (3, False), (1, False)], [(2, False), (1, True), (3, False)], [(0, True)],
    [(2, True), (2, True), (3, True)],
], ids=str)  # fmt: skip
def test_confirms_of_all_messages_are_complete_in_any_order(acks: list[tuple[int, bool]]) -> None:
    assert after(3, *acks)


@pytest.mark.parametrize("acks", [
    [], [(1, False), (2, False)], [(2, True)], [(3, False), (1, True)], [(2, False), (2, False), (2, False)],
], ids=str)  # fmt: skip
def test_while_one_confirm_is_missing_they_are_not_complete(acks: list[tuple[int, bool]]) -> None:
    assert not after(3, *acks)


def test_where_nothing_was_sent_nothing_is_missing() -> None:
    assert after(0)


def test_a_message_the_broker_does_not_take_is_an_error() -> None:
    with pytest.raises(MessageNacked, match="message 2"):
        Confirms().nacked(2, False)
