"""Every secret of an installation is replaced as docs/deploy.md says, while jobs go on."""

import shutil
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
import requests
from amqp.exceptions import AccessRefused, ConnectionForced
from kombu import Connection

from services.platform import wait_until
from tests.faults.deploy.guide import NODE, SECRETS, Machine, block
from tests.issuer import by_secret, claims, key_server, published, rsa, session, signed
from tests.jobs import bearer
from tests.stub_trainings import stub_body
from wire.names import NODE_API

RENEWED, ADDED, ALONE = 0, 1, 2
"""The blocks about certificates."""


@contextmanager
def no_training_notices(machine: Machine) -> Iterator[None]:
    """One goes on meanwhile, in its first attempt."""
    run_id = machine.platform.submit(6)
    machine.platform.until_trained(run_id)
    yield
    machine.platform.until("SUCCEEDED", run_id)
    assert machine.platform.kinds(run_id) == ["succeeded"]


def database(machine: Machine) -> str:
    return machine.read("DATABASE_URL")


def broker(machine: Machine, url: str = "") -> Connection:
    its = {"ca_certs": str(machine.ca), "cert_reqs": ssl.CERT_REQUIRED}
    return Connection(url or machine.read("BROKER_URL"), ssl=its)


def test_the_databases_password_is_replaced(machine: Machine) -> None:
    old = database(machine)
    with no_training_notices(machine):
        machine.follow(block("The database's password"))
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(old)
    psycopg2.connect(database(machine)).close()


def test_the_brokers_password_is_replaced(machine: Machine) -> None:
    old, api = machine.read("BROKER_URL"), machine.read("BROKER_API")
    with no_training_notices(machine):
        machine.follow(block("The broker's password"))
    with pytest.raises(AccessRefused), broker(machine, old) as connection:
        connection.connect()
    statuses = [requests.get(f"{its}users", timeout=20).status_code for its in (api, machine.read("BROKER_API"))]
    assert statuses == [401, 200]


def test_after_a_leak_nobody_stays_who_came_in_by_the_old_passwords(machine: Machine) -> None:
    with (
        no_training_notices(machine),
        closing(psycopg2.connect(database(machine))) as intruder,
        broker(machine) as other,
    ):
        other.connect()
        machine.follow(block("After a leak"))
        with pytest.raises(psycopg2.OperationalError):
            intruder.cursor().execute("SELECT 1")
        with pytest.raises(ConnectionForced):
            other.drain_events(timeout=20)


def test_the_keys_of_s3_are_replaced(machine: Machine) -> None:
    s3 = machine.stack.s3
    assert s3
    with no_training_notices(machine):
        s3.key, s3.secret = "a-second-key", "a-second-secret-4b1d"
        s3.restart()
        machine.follow(block("The keys of S3"), NEW_S3_KEY=s3.key, NEW_S3_SECRET=s3.secret)


def test_flowers_login_is_replaced(machine: Machine) -> None:
    old = machine.read("FLOWER_BASIC_AUTH")
    machine.follow(block("Flower's login"))
    new, port = machine.read("FLOWER_BASIC_AUTH"), machine.platform.env["FLOWER_PORT"]

    def status(login: str) -> int:
        try:
            return requests.get(f"http://{login}@127.0.0.1:{port}/metrics", timeout=10).status_code
        except requests.RequestException:
            return 0

    wait_until(lambda: status(new) == 200, 60, "Flower with its new login")
    assert status(old) == 401


def test_a_users_token_is_replaced(machine: Machine) -> None:
    old = machine.platform.run("flask --app wsgi tokens create ann")
    machine.follow(block("A user's token"))
    new = (machine.conf / "token-of-ann").read_text().strip()
    wait_until(lambda: (machine.me(old).status_code, machine.me(new).status_code) == (401, 200), 10, "the new token")


def test_a_node_that_is_stopped_and_enrolled_anew_goes_on_with_its_training(machine: Machine) -> None:
    platform = machine.platform
    run_id = platform.submit(6)
    platform.until_trained(run_id)
    old = settings_of(machine)
    platform.process(NODE).stop()
    enroll_again(machine)
    platform.start(NODE)
    platform.until("SUCCEEDED", run_id)
    assert platform.kinds(run_id) == ["drained", "succeeded"]
    assert platform.show(run_id)["attempts"][1]["start_step"] >= 2_000
    assert is_shut_out(machine, old)


def test_a_node_that_is_enrolled_while_it_runs_is_shut_out_until_it_has_its_new_settings(machine: Machine) -> None:
    platform = machine.platform
    run_id = platform.submit(600)
    platform.until_trained(run_id)
    old = settings_of(machine)
    enroll_again(machine)
    wait_until(lambda: is_shut_out(machine, old), 10, "the end of the old token and login")
    wait_until(lambda: "RabbitMQ does not let this node in" in platform.log(NODE), 30, "the node to say so")
    platform.process(NODE).kill()
    platform.start(NODE)
    wait_until(lambda: len(platform.show(run_id)["attempts"]) == 2, 60, "the second attempt")
    assert platform.show(run_id)["attempts"][1]["start_step"] >= 2_000
    platform.call("POST", f"/train-jobs/{run_id}/cancel")
    machine.still_trains()


def settings_of(machine: Machine) -> dict[str, str]:
    lines = Path(machine.platform.environment(NODE)["NODE_SETTINGS"]).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def enroll_again(machine: Machine) -> None:
    """By the same lines as the first time, which the section's own one stands for."""
    assert block("A node's token and broker user") == block("A training node")
    machine.platform.enroll(NODE)


def is_shut_out(machine: Machine, old: dict[str, str]) -> bool:
    """Whether those settings of a node are good for nothing."""
    url = f"{machine.platform.url}{NODE_API}/check"
    if requests.post(url, json={}, headers=bearer(old["NODE_TOKEN"]), timeout=10).status_code != 401:
        return False
    with pytest.raises(AccessRefused), broker(machine, old["BROKER_URL"]) as connection:
        connection.connect()
    return True


def test_the_secrets_of_issuers_are_replaced(machine: Machine) -> None:
    old = {name: (machine.conf / file).read_text().strip() for name, file in SECRETS.items()}
    new = {name: f"{'1' * 31} of {name}" for name in SECRETS}
    before, after = tokens(old), tokens(new)
    assert [machine.me(token).status_code for token in before + after] == [200, 200, 401, 401]
    url = f"{machine.platform.url}/api/v1/train-jobs"
    run_id = requests.post(url, json=stub_body(100), headers=bearer(before[0]), timeout=20).json()["run_id"]
    assert machine.watch(run_id, before[0]).recv()
    machine.follow(block("Secrets of outside issuers"), NEW_JWT_SECRET=new["AUTH_JWT_SECRET"],
                   NEW_NEXTAUTH_SECRET=new["NEXTAUTH_SECRET"])  # fmt: skip
    assert [machine.me(token).status_code for token in before + after] == [401, 401, 200, 200]
    assert "not signed by the issuer" in machine.watch(run_id, before[0]).recv()
    assert '"msg_id":2' in machine.watch(run_id, after[0]).recv().replace(" ", "")


def tokens(secrets: dict[str, str]) -> list[str]:
    """One of each issuer."""
    return [by_secret(secret=secrets["AUTH_JWT_SECRET"]),
            session(claims(iss=None, aud=None), secrets["NEXTAUTH_SECRET"])]  # fmt: skip


def test_an_issuers_new_key_is_taken_without_a_restart_and_its_withdrawn_one_after_it_no_more(
    machine: Machine,
) -> None:
    def status(kid: str) -> int:
        return machine.me(signed(key=rsa(kid))).status_code

    with key_server(rsa("first")) as server, by_keys(machine, server.url):
        assert [status("first"), status("second")] == [200, 401]
        server.content = published(rsa("second"))
        assert status("first") == 200  # nobody has looked
        wait_until(lambda: status("second") == 200, 10, "the new key")
        assert status("first") == 401
        server.content = published(rsa("third")).replace(b'"third"', b'"second"')
        assert status("second") == 200
        machine.restart("web")
        assert status("second") == 401


@contextmanager
def by_keys(machine: Machine, url: str) -> Iterator[None]:
    """The issuer signs by its keys for a while."""
    env = machine.platform.env
    secret = env.pop("AUTH_JWT_SECRET_FILE")
    env |= {"AUTH_JWKS_URL": url, "AUTH_JWKS_SECONDS": "1"}
    machine.restart("web")
    yield
    del env["AUTH_JWKS_URL"], env["AUTH_JWKS_SECONDS"]
    env["AUTH_JWT_SECRET_FILE"] = secret
    machine.restart("web")


def test_renewed_certificates_are_seen_by_whoever_comes_next_and_break_nothing(machine: Machine) -> None:
    old, run_id = certificates(machine), machine.platform.submit(4)
    socket = machine.watch(run_id)
    assert socket.recv()
    machine.follow(block("Keys and certificates", number=RENEWED))
    wait_until(lambda: not certificates(machine) & old, 20, "new certificates of all three")
    machine.platform.until("SUCCEEDED", run_id)
    assert isinstance(list(iter(socket.recv, ""))[-1], bytes)
    assert len(machine.platform.show(run_id)["attempts"]) == 1
    machine.still_trains()


def test_another_authority_takes_over_without_a_restart(machine: Machine) -> None:
    first = machine.ca.read_text()
    run_id = machine.platform.submit(8)
    machine.follow(block("Keys and certificates", number=ADDED))
    copy_to_node(machine)
    machine.follow(block("Keys and certificates", number=RENEWED))
    machine.drop_connections()
    machine.platform.until("SUCCEEDED", run_id)
    machine.still_trains()
    machine.follow(block("Keys and certificates", number=ALONE))
    copy_to_node(machine)
    machine.drop_connections()
    machine.still_trains()
    assert len(machine.platform.show(run_id)["attempts"]) == 1
    assert machine.ca.read_text() not in first
    (machine.folder / "first.pem").write_text(first)
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://127.0.0.1:{machine.web}/livez", verify=str(machine.folder / "first.pem"), timeout=10)


def certificates(machine: Machine) -> set[str]:
    """What the three servers show to whoever comes."""
    return {ssl.get_server_certificate(("127.0.0.1", port)) for port in (machine.web, machine.s3, machine.amqps)}


def copy_to_node(machine: Machine) -> None:
    shutil.copy(machine.ca, machine.platform.environment(NODE)["BROKER_CA_FILE"])


def test_rabbitmqs_definitions_bring_the_users_of_nodes_back(machine: Machine) -> None:
    """For an installation without BROKER_API."""
    kept = machine.folder / "definitions.json"
    machine.follow(f"rabbitmqctl export_definitions {kept}")
    user = Connection(settings_of(machine)["BROKER_URL"]).userid
    machine.follow(f"rabbitmqctl delete_user {user} && rabbitmqctl import_definitions {kept}")
    with broker(machine, settings_of(machine)["BROKER_URL"]) as connection:
        connection.connect()
    machine.still_trains()
