"""Enrolling and revoking a node where RabbitMQ's management API is not to be had: what is printed, run as printed."""

import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from kombu import Connection

from coordinator.parts import parts
from services.rabbitmq import RabbitMQ
from services.rabbitmq_programs import find_programs
from services.stack import Stack
from tests.brokers import logs_in
from wire.enrolment import decode

NAME = "a.b+c(d)"


@pytest.fixture
def api(app: Flask) -> str:
    """RabbitMQ's management API."""
    return parts(app).config.broker_api


def run(app: Flask, *command: str) -> Any:
    done = app.test_cli_runner().invoke(args=["nodes", *command])
    assert done.exit_code == 0, done.output
    return done


def enrolled(app: Flask, name: str) -> dict[str, str]:
    return decode(run(app, "enroll", name).stdout.split()[-1])


def user_of(its: dict[str, str]) -> str:
    return str(Connection(its["BROKER_URL"]).userid)


class ByHand:
    """An installation without BROKER_API, and an operator who runs what is printed, or does not."""

    def __init__(self, app: Flask, rabbitmq: RabbitMQ, folder: Path) -> None:
        self._app = app
        self._path = folder / "rabbitmqctl"
        command = find_programs(rabbitmq.folder).command("rabbitmqctl", "-q")
        self._path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        self._path.chmod(0o755)
        self._environ = rabbitmq.environment()
        self._environ["PATH"] = f"{folder}:{self._environ.get('PATH', os.defpath)}"
        its = parts(app)
        replace(its, config=replace(its.config, broker_api="")).install(app)

    def says(self, *command: str) -> Any:
        return run(self._app, *command)

    def runs(self, printed: str) -> None:
        lines = [line for line in printed.splitlines() if "rabbitmqctl " in line and not line.endswith(":")]
        subprocess.run(["sh", "-c", "set -e\n" + "\n".join(lines)], env=self._environ, check=True, timeout=120)


def test_without_an_api_the_commands_that_are_printed_do_the_same(
    app: Flask, stack: Stack, api: str, tmp_path: Path
) -> None:
    if stack.rabbitmq is None:
        pytest.skip("Another broker's rabbitmqctl is not ours to run.")
    by_hand = ByHand(app, stack.rabbitmq, tmp_path)
    by_hand.says("enroll", NAME)  # its commands are lost, and never run
    first = by_hand.says("enroll", NAME)
    told = decode(first.stdout.split()[-1])
    by_hand.runs(first.stderr)
    assert logs_in(told)
    by_api = enrolled_by(app, api, "by-api")
    rights, limits = rights_of(api, told), limits_of(api, told)
    assert (rights, limits) == (rights_of(api, by_api), limits_of(api, by_api))

    by_hand.says("revoke", NAME)  # nor are these
    again = by_hand.says("enroll", NAME)
    by_hand.runs(again.stderr)
    assert [logs_in(its) for its in (told, decode(again.stdout.split()[-1]))] == [False, True]
    for name in (NAME, "by-api"):
        by_hand.runs(by_hand.says("revoke", name).stderr)
    assert requests.get(f"{api}users/{user_of(told)}", timeout=10).status_code == 404


def enrolled_by(app: Flask, api: str, name: str) -> dict[str, str]:
    """With that management API, which is not set otherwise."""
    its = parts(app)
    replace(its, config=replace(its.config, broker_api=api)).install(app)
    told = enrolled(app, name)
    its.install(app)
    return told


def rights_of(api: str, its: dict[str, str]) -> Any:
    """What RabbitMQ lets that node do, without its name."""
    found = [requests.get(f"{api}users/{user_of(its)}/{kind}", timeout=10).json()
             for kind in ("permissions", "topic-permissions")]  # fmt: skip
    return sorted(str(sorted((name, said) for name, said in one.items() if name != "user")) for some in found
                  for one in some)  # fmt: skip


def limits_of(api: str, its: dict[str, str]) -> Any:
    return requests.get(f"{api}user-limits/{user_of(its)}", timeout=10).json()[0]["value"]
