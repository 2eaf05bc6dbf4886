"""The wish that a node ends, as its processes see it; and what its self-check makes of what it reads."""

import os
import signal

from node.drain import Drain
from node.lease import Stop
from node.selfcheck import crosses
from services.platform import wait_until


def test_handing_over_cuts_finishing_short_and_nothing_takes_a_wish_back() -> None:
    drain = Drain()
    told = [drain.how]
    for how in ("finish", "hand-over", "finish"):
        drain.ask(how)
        told.append(drain.how)
    assert told == [None, "finish", "hand-over", "hand-over"]


def test_a_forked_process_hears_what_its_parent_is_told_later() -> None:
    drain, (readable, writable) = Drain(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writable)
        os.read(readable, 1)  # until the parent has been told
        os._exit(0 if drain.how == "hand-over" else 1)
    drain.ask("hand-over")
    os.close(writable)
    os.close(readable)
    assert os.waitpid(child, 0)[1] == 0


def test_a_training_is_asked_to_stop_when_it_is_to_hand_over_and_not_before() -> None:
    drain, stop = Drain(), Stop()
    before = signal.getsignal(signal.SIGTERM)
    drain.ask("finish")
    drain.follow(stop, "finish")
    assert not stop.is_set()
    drain.ask("hand-over")
    wait_until(stop.is_set, 5, "a training that is asked to stop")
    assert stop.reason == Stop.SHUTDOWN
    signal.signal(signal.SIGTERM, before)


def test_of_a_check_the_crosses_are_kept_whatever_marks_its_output_can_show() -> None:
    said = "✓ All well.\n✗ No Python. Install it.\n– A note.\nNO No disk.\nok Fine.\nThis machine cannot train yet.\n"
    assert crosses(said) == ["No Python. Install it.", "No disk."]
