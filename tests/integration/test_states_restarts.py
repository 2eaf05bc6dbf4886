"""States with more than one web process, and after the broker has cut every connection: viewers get them again."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
import requests

from services.platform import Platform, wait_until
from services.stack import Stack
from tests.integration.bridge import Bridge, states_of
from tests.integration.live import new_run, watch


@pytest.fixture
def two_webs(platform: Platform) -> Iterator[Platform]:
    """The platform with two web processes, and afterwards as it was."""
    before = platform.env["WEB_WORKERS"]
    for workers in ("2", before):
        platform.process("web").stop()
        platform.env["WEB_WORKERS"] = workers
        platform.start("web")
        if workers == "2":
            yield platform


def queues(stack: Stack, run_id: str) -> set[str]:
    """The queues that get the states of a run."""
    answer = requests.get(f"{stack.env['FLOWER_BROKER_API']}bindings", timeout=10)
    return {binding["destination"] for binding in answer.json() if binding["routing_key"] == run_id}


def cut_connections(stack: Stack, names: set[str]) -> bool:
    """Cuts the connections to which these queues belong, as far as the broker knows them yet; whether all are gone."""
    api, left = stack.env["FLOWER_BROKER_API"], False
    vhost = stack.env["BROKER_URL"].rpartition("/")[2]
    for name in names:
        answer = requests.get(f"{api}queues/{vhost}/{name}", timeout=10)
        left = left or answer.ok
        if owner := (answer.json().get("owner_pid_details") or {}).get("name"):  # it is [] at first
            requests.delete(f"{api}connections/{quote(owner, safe='')}", timeout=10)
    return not left


def test_viewers_of_two_processes_see_the_same_also_after_the_broker_cut_them_off(
    two_webs: Platform, stack: Stack
) -> None:
    run_id = new_run(two_webs)
    viewers = [watch(two_webs, run_id) for _ in range(8)]
    with Bridge(two_webs) as bridge:
        bridge.reach(run_id, *viewers)
        before = queues(stack, run_id)
        bridge.say(run_id, *(b'{"msg_id":1,"stepCount":%d}' % n for n in range(100)))
        for viewer in viewers:
            wait_until(lambda its=viewer: states_of(its)[-1].get("stepCount") == 99, 30, "the last state")  # type: ignore[misc]
            assert [one["stepCount"] for one in states_of(viewer) if "stepCount" in one] == list(range(100))
    wait_until(lambda: cut_connections(stack, before), 60, "the queues to go")
    wait_until(lambda: queues(stack, run_id) - before, 60, "a fresh queue")
    with Bridge(two_webs) as bridge:
        bridge.reach(run_id, *viewers)
    assert all(viewer.is_alive() for viewer in viewers)
