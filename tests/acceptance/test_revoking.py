"""A node is revoked in the middle of a training: it is none any more, and another goes on at once."""

from collections.abc import Iterator

import pytest
import requests

from services.platform import wait_until
from services.stack import Stack
from tests.jobs import bearer
from tests.stub_platform import StubPlatform
from wire.names import NODE_API


@pytest.fixture(scope="module")
def platform(own_corner: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubPlatform]:
    """Two nodes; leases that nobody waits for."""
    settings = {"LEASE_SECONDS": "600"}
    with StubPlatform(own_corner, tmp_path_factory.mktemp("revoking") / "platform", settings) as running:
        running.add_node("second")
        running.start("web", "results", "recorder", "node", "second")
        yield running


def test_a_revoked_node_is_shut_out_and_its_training_goes_on_elsewhere_at_once(platform: StubPlatform) -> None:
    run_id = platform.submit(600)
    platform.until_trained(run_id)
    (first,) = platform.show(run_id)["attempts"]
    revoked, other = first["node"], {"node": "second", "second": "node"}[first["node"]]
    user = platform.environment(revoked)["BROKER_URL"].partition("//")[2].partition(":")[0]
    assert user in connected(platform)
    platform.run(f"flask --app wsgi nodes revoke {revoked}")

    wait_until(lambda: len(platform.show(run_id)["attempts"]) == 2, 30, "the second attempt")
    first, second = platform.show(run_id)["attempts"]
    assert (first["kind"], first["cause"]) == ("lost", f"Its node {revoked} was revoked.")
    assert (second["node"], second["start_step"] >= 2_000) == (other, True)

    wait_until(lambda: user not in connected(platform), 30, "its connections to be closed")
    assert requests.get(f"{platform.env['BROKER_API']}users/{user}", timeout=10).status_code == 404
    hello = {"slots": 1, "has": {}, "life": None, "drain": None}
    headers = bearer(platform.environment(revoked)["NODE_TOKEN"])

    def says_hello() -> int:
        return requests.post(f"{platform.url}{NODE_API}/hello", json=hello, headers=headers, timeout=10).status_code

    # a web process believes for two seconds what it knows of a token
    wait_until(lambda: says_hello() == 401, 10, "the end of its token")
    assert platform.run("flask --app wsgi rejected").startswith("No message was set aside.")
    wait_until(lambda: "RabbitMQ does not let this node in" in platform.log(revoked), 30, "the node to say so")
    log = platform.log(revoked)
    assert (log.count("RabbitMQ does not let this node in") <= 5, "Frequent restarts" in log) == (True, False)


def test_no_process_of_a_node_has_a_secret_of_the_coordinators(platform: StubPlatform) -> None:
    secrets = {platform.env[name] for name in ("S3_SECRET_ACCESS_KEY", "DATABASE_URL", "BROKER_URL", "BROKER_API")}
    seen = [program.environ() for node in ("node", "second") for program in platform.programs(node)]
    assert len(seen) >= 4
    assert not [value for environ in seen for value in environ.values() if value in secrets]
    assert not [name for environ in seen for name in environ if name.startswith(("S3_", "DATABASE", "FLOWER_"))]


def connected(platform: StubPlatform) -> set[str]:
    """Users of RabbitMQ's connections; its list is some seconds old."""
    return {it.get("user", "") for it in requests.get(f"{platform.env['BROKER_API']}connections", timeout=10).json()}
