"""Garbage in the queues: each piece is set aside, and the trainings of others go on as if nothing had happened."""

import pytest
from kombu import Connection

from services.platform import Platform
from tests.integration.live import new_run, watch
from tests.stub_node import MODEL, StubNode
from wire.names import EVENT_EXCHANGE, EVENT_ROUTING_KEY, OUTCOME_EXCHANGE, OUTCOME_QUEUE

PIECES = [
    (b"", "text/plain"), (b"\x80\x04\x95", "application/x-python-serialize"), (b"nonsense", "application/json"),
    (b"[]", "application/json"), (b'{"type":"worker-online"}', "application/json"), (b"\xff" * 1_000, "a/b"),
    (b"[" * 100_000, "application/json"), (b"x" * 5_000_000, "application/json"),
]  # fmt: skip


@pytest.mark.parametrize(("exchange", "key"), [(EVENT_EXCHANGE, EVENT_ROUTING_KEY), (OUTCOME_EXCHANGE, OUTCOME_QUEUE)])
def test_garbage_in_a_queue_stops_nobody(platform: Platform, stub_node: StubNode, exchange: str, key: str) -> None:
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    with Connection(platform.env["BROKER_URL"]) as connection:
        producer = connection.Producer()
        for content, kind in PIECES:
            producer.publish(content, exchange=exchange, routing_key=key, content_type=kind, content_encoding="binary")
    stub_node.train(run_id)
    viewer.finish()
    assert viewer.seqs == list(range(1, 9))
    assert (viewer.binaries, viewer.close_code) == ([MODEL], 1000)
