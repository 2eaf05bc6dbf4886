"""The backing services that `make run` and the tests start for themselves, as real processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import psycopg2
import pytest
from amqp.exceptions import AccessRefused  # type: ignore[import-untyped]
from botocore.config import Config
from kombu import Connection

from services.errors import ServiceError, log_tail
from services.ports import free_ports
from services.proc import is_alive, pids_with_parent
from services.process import Process, read_pidfile
from services.stack import Stack

pytestmark = pytest.mark.own_broker

ROOT = Path(__file__).resolve().parents[2]
OURS = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_PORT"))}
WAIT_SECONDS = 60.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Look until it holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"Waited {WAIT_SECONDS:.0f} s for: {what}"
        time.sleep(0.05)


def processes_of(folder: Path) -> list[str]:
    """Command lines of living processes that name the folder, or whose folder it is."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            place = os.readlink(entry / "cwd")
        except OSError:  # it ended while we looked, or is a zombie
            continue
        if str(folder) in words or place.startswith(str(folder)):
            found.append(f"{entry.name}: {words[:200]}")
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All three services."""
    started = Stack(tmp_path_factory.mktemp("services"), environ=OURS)
    started.start()
    yield started
    started.kill()
    assert not processes_of(started.data_dir)


def write_everywhere(stack: Stack) -> None:
    """A row, a message and an object."""
    with database(stack) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')")
    with Connection(stack.env["BROKER_URL"]) as broker, broker.SimpleQueue("kept") as queue:
        queue.put("still here")
    bucket(stack).put_object(Bucket="train-jobs", Key="kept/word", Body=b"still here")


def read_everywhere(stack: Stack) -> list[str]:
    """The row, the message and the object."""
    with database(stack) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT word FROM kept")
        row = cursor.fetchone()
    with Connection(stack.env["BROKER_URL"]) as broker, broker.SimpleQueue("kept") as queue:
        message = queue.get(timeout=10)
        queue.put(message.payload)
        message.ack()
    found = bucket(stack).get_object(Bucket="train-jobs", Key="kept/word")["Body"].read().decode()
    return [row[0] if row else "", str(message.payload), found]


def database(stack: Stack) -> "psycopg2.extensions.connection":
    return psycopg2.connect(stack.env["DATABASE_URL"].replace("+psycopg2", ""))


def bucket(stack: Stack, secret: str | None = None):  # type: ignore[no-untyped-def]
    return boto3.client(
        "s3", endpoint_url=stack.env["S3_ENDPOINT_URL"], region_name="us-east-1",
        aws_access_key_id=stack.env["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=secret or stack.env["S3_SECRET_ACCESS_KEY"],
        config=Config(retries={"max_attempts": 1}),
    )  # fmt: skip


def test_services_keep_their_data_over_a_restart_and_a_crash(stack: Stack) -> None:
    write_everywhere(stack)
    for service in stack.services:
        service.kill()
        assert not service.running
        service.start()
    assert read_everywhere(stack) == ["still here"] * 3
    assert stack.postgres
    stack.postgres.restart()
    assert stack.s3
    stack.s3.restart()
    assert read_everywhere(stack) == ["still here"] * 3


def test_services_listen_only_on_this_machine_and_below_the_ephemeral_ports(stack: Stack) -> None:
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    addresses = [line.split()[3] for line in listening.splitlines()]
    for port in stack.ports.values():
        assert port < 32768
        hosts = {address.rpartition(":")[0] for address in addresses if address.endswith(f":{port}")}
        assert hosts
        assert hosts <= {"127.0.0.1", "[::1]"}


def test_nobody_gets_in_without_the_password(stack: Stack) -> None:
    wrong_database = (
        stack.env["DATABASE_URL"].replace("+psycopg2", "").replace(stack.kept.get("postgres_password"), "x")
    )
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(wrong_database)
    guest = (
        stack.env["BROKER_URL"].replace(stack.kept.get("rabbitmq_password"), "guest").replace("train_jobs:", "guest:")
    )
    with Connection(guest) as broker, pytest.raises(AccessRefused):
        broker.connect()
    with pytest.raises(Exception, match="SignatureDoesNotMatch"):
        bucket(stack, secret="wrong-secret").list_objects(Bucket="train-jobs")


def test_files_with_passwords_are_for_the_owner_only(stack: Stack) -> None:
    for name in ("services.json", "rabbitmq/rabbitmq.conf", "rabbitmq/.erlang.cookie"):
        assert (stack.data_dir / name).stat().st_mode & 0o077 == 0, name


def test_a_kill_9_of_the_runner_leaves_no_process_and_the_next_start_is_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services", "--data", str(tmp_path)]
    runner = subprocess.Popen(command, cwd=ROOT, env=OURS, stdout=subprocess.PIPE, text=True)
    assert runner.stdout
    with runner.stdout:
        said = list(iter(runner.stdout.readline, "# running; Ctrl-C ends them\n"))
    assert any("beam.smp" in found for found in processes_of(tmp_path))
    runner.kill()
    runner.wait()
    again = Stack(tmp_path, environ=OURS)
    again.start()
    assert said == [f"export {name}='{value}'\n" for name, value in again.env.items()]
    assert len([found for found in processes_of(tmp_path) if "beam.smp" in found]) == 1
    again.kill()
    assert not processes_of(tmp_path)


def test_a_kill_9_of_the_runner_ends_everything_without_another_start(tmp_path: Path) -> None:
    command = ["sh", "-c", "sleep 1000 & sleep 1000"]
    code = (
        "from pathlib import Path; from services.process import Process; import os, time\n"
        f"folder = Path({str(tmp_path)!r})\n"
        f"Process('sleepers', folder / 'log', folder / 'pid').start({command!r}, os.environ, folder)\n"
        "time.sleep(1000)"
    )
    runner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    wait_for(lambda: len(processes_of(tmp_path)) >= 4, "guard, shell and two sleepers")
    runner.kill()
    runner.wait()
    wait_for(lambda: not processes_of(tmp_path), "every process to end")


def test_an_interrupt_of_the_terminal_does_not_reach_a_service(tmp_path: Path) -> None:
    process = Process("sleeper", tmp_path / "log", tmp_path / "pid")
    process.start(["sleep", "1000"], os.environ, tmp_path)
    assert process.guard
    assert os.getpgid(process.guard.pid) != os.getpgid(0)
    assert os.getsid(process.guard.pid) != os.getsid(0)
    process.stop()
    assert not processes_of(tmp_path)


def test_children_that_left_their_program_end_with_it(tmp_path: Path) -> None:
    process = Process("daemon", tmp_path / "log", tmp_path / "pid")
    process.start(["sh", "-c", "setsid sleep 1000 & setsid sleep 1000 & sleep 1000"], os.environ, tmp_path)
    wait_for(lambda: len(processes_of(tmp_path)) >= 5, "the guard, the shell and its three children")
    process.kill()
    assert not processes_of(tmp_path)


def test_a_stranger_with_our_pid_is_not_touched(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "1000"])
    process = Process("sleeper", tmp_path / "log", tmp_path / "pid")
    known = f'["{stranger.pid}", "1", "another boot"]'
    process.pidfile.write_text(f'{{"guard": {known}, "program": {known}}}')
    process.start(["sleep", "1000"], os.environ, tmp_path)
    wait_for(lambda: process.pid != stranger.pid and process.pid is not None, "its own pid file")
    assert is_alive(read_pidfile(process.pidfile)["program"])
    process.stop()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_port_of_another_program_gives_a_sentence_that_names_it_and_the_variable(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        with pytest.raises(ServiceError, match=f"Port {port}, .*S3.*S3_PORT=<port>"):
            Stack(tmp_path, {"S3_PORT": port}, environ=OURS).start()
    assert not processes_of(tmp_path)


def test_a_second_runner_in_the_same_folder_is_told_who_has_it(stack: Stack) -> None:
    with pytest.raises(ServiceError, match=f"already run .process {os.getpid()}"):
        Stack(stack.data_dir, environ=OURS).start()
    assert all(service.running for service in stack.services)


def test_services_that_the_environment_brings_are_not_started(tmp_path: Path) -> None:
    urls = {"DATABASE_URL": "postgresql://db/x", "BROKER_URL": "amqp://mq/x", "S3_ENDPOINT_URL": "http://s3"}
    keys = {"S3_ACCESS_KEY_ID": "key", "S3_SECRET_ACCESS_KEY": "secret", "S3_BUCKET": "mine"}
    with Stack(tmp_path, environ=urls | keys) as stack:
        assert stack.services == []
        assert stack.env == urls | keys | {"S3_REGION": "us-east-1"}


def test_a_program_that_ends_at_once_is_told_with_its_log(tmp_path: Path) -> None:
    process = Process("Broken", tmp_path / "log", tmp_path / "pid")
    process.start(["sh", "-c", "echo no such luck; exit 3"], os.environ, tmp_path)
    with pytest.raises(ServiceError, match=r"Broken ended while it was starting(.|\n)*no such luck"):
        process.wait_ready(lambda: False, 10)


def test_a_program_that_is_never_ready_is_killed_and_told(tmp_path: Path) -> None:
    process = Process("Slow", tmp_path / "log", tmp_path / "pid")
    process.start(["sh", "-c", "echo hm; exec sleep 1000"], os.environ, tmp_path)
    with pytest.raises(ServiceError, match=r"not ready after 1 seconds(.|\n)*hm"):
        process.wait_ready(lambda: False, 1)
    assert not processes_of(tmp_path)


def test_a_program_that_ignores_the_wish_to_end_is_killed_after_the_grace(tmp_path: Path) -> None:
    process = Process("Stubborn", tmp_path / "log", tmp_path / "pid", signal.SIGTERM, grace=0.5)
    process.start(["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"], os.environ, tmp_path)
    wait_for(lambda: "deaf" in log_tail(process.log), "its trap")
    process.stop()
    assert not processes_of(tmp_path)


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(50, set())
    assert len(set(ports)) == 50
    assert all(20_000 <= port < 32_000 for port in ports)


def test_children_are_found_by_their_parent() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    assert child.pid in pids_with_parent(os.getpid())
    child.kill()
    child.wait()
    assert child.pid not in pids_with_parent(os.getpid())
