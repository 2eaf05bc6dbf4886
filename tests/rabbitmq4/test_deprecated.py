"""RabbitMQ 4 names what it is going to drop, and can refuse it already: the platform needs none of that."""

import re
from collections.abc import Iterator

import pytest
import requests

from services.platform import Platform, wait_until
from services.stack import Stack
from tests.acceptance.viewers import Viewer, submit

DEPRECATED = (
    "amqp_address_v1", "global_qos", "management_metrics_collection", "queue_master_locator", "ram_node_type",
    "transient_nonexcl_queues",
)  # fmt: skip


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A RabbitMQ that behaves as if all that it will drop were gone."""
    made = Stack(tmp_path_factory.mktemp("services"), environ={})
    assert made.rabbitmq
    assert not made.rabbitmq.version.startswith("3."), "`make rabbitmq4` runs this on a newer one."
    made.rabbitmq.configure()
    refusals = "".join(f"deprecated_features.permit.{name} = false\n" for name in DEPRECATED)
    (made.rabbitmq.folder / "conf.d" / "strict.conf").write_text(refusals)
    with made as running:
        made.rabbitmq.ctl("enable_feature_flag", "--opt-in", "khepri_db")  # the metadata store that 4.3 has alone
        yield running


def test_a_training_and_flower_use_no_deprecated_feature(platform: Platform, stack: Stack) -> None:
    assert stack.rabbitmq
    platform.start("flower")
    viewer = Viewer(platform.socket_url, {"run_id": submit(platform.url, platform.token)["run_id"]}, platform.token)
    viewer.wait_for(8)
    flower = f"http://{platform.env['FLOWER_BASIC_AUTH']}@127.0.0.1:{platform.env['FLOWER_PORT']}"
    wait_until(lambda: len(workers(flower)) == 1, 30, "Flower to know the worker that can be asked")

    assert stack.rabbitmq.ctl("list_deprecated_features", "--used").strip() == ""
    assert viewer.finish().statuses[-1] == "SUCCEEDED"
    named = set(re.findall(r"Deprecated features: `(\w+)`", stack.rabbitmq.process.log.read_text()))
    assert named <= {"management_metrics_collection"}  # the management page's own, which does without
    assert "coord" in requests.get(f"{flower}/broker", timeout=30).text


def workers(flower: str) -> dict[str, object]:
    """Those that Flower has asked; empty while it does not answer yet."""
    try:
        found: dict[str, object] = requests.get(f"{flower}/api/workers?refresh=1", timeout=30).json()
    except requests.RequestException:
        return {}
    return found
