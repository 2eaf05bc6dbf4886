"""Builds are uploaded straight to S3, looked into, and then named by jobs; nobody else's are touched."""

from __future__ import annotations

import json
import os
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask

from tests.archives import FORMATS
from tests.builds import (
    CONFIGURATION,
    MANIFEST,
    URL,
    announce,
    archive,
    complete,
    put,
    ready,
    shown,
    uploaded,
    verified,
)
from tests.integration.database import outbox, rows
from tests.jobs import Client
from wire.names import TASK_VERIFY

Headers = dict[str, str]
JOB: dict[str, Any] = {"env_config__env_id": "maze", "env_config__num_of_areas": 2, "nn_model_config__steps": 100,
                       "nn_model_config__behavior_name": "Walk"}  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_a_build_is_uploaded_verified_and_shown(app: Flask, client: Client, owner: Headers, form: str) -> None:
    ready(app, client, owner, form=form)
    found = shown(client, owner)
    assert found["behaviours"]["Walk"]["configuration"] == {
        "behaviors": {"Walk": {"trainer_type": "ppo", "max_steps": 100}}
    }
    assert (found["files"], found["kind"], found["executable"]) == (3, None, "maze.x86_64")
    assert found["unpacked_size"] == sum(map(len, [b"\x7fELF", CONFIGURATION, json.dumps(MANIFEST).encode()]))


def test_large_builds_go_up_in_parts(app: Flask, client: Client, owner: Headers) -> None:
    content = archive("tar", noise=os.urandom(17 * 1024**2))
    begun = announce(client, owner, content).json
    assert [part["number"] for part in begun["parts"]] == [1, 2]
    first = put(begun | {"parts": begun["parts"][:1]}, content)
    links = client.post(f"{URL}/maze/versions/1/parts", json={"numbers": [2]}, headers=owner).json["parts"]
    rest = put(begun | {"parts": links}, content)
    assert complete(client, owner, begun, first).status_code == 409
    assert complete(client, owner, begun, first + rest).json["state"] == "VERIFYING"
    verified(app, begun["id"])
    assert shown(client, owner)["state"] == "READY"


def test_verification_is_an_outbox_row_until_it_is_done(app: Flask, client: Client, owner: Headers) -> None:
    build = uploaded(client, owner, archive())
    waiting = rows(app, "SELECT build_id FROM outbox WHERE task = :task", task=TASK_VERIFY)
    assert waiting == [UUID(build["id"])]
    verified(app, build["id"])
    verified(app, build["id"])  # a second copy of the task
    verified(app, str(uuid4()))
    assert outbox(app) == []
    assert shown(client, owner)["state"] == "READY"
