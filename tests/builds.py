"""Builds of an environment as a studio uploads them: the archive, the parts to S3, and the verification."""

import hashlib
import json
from typing import Any
from uuid import UUID

import requests
from flask import Flask

from coordinator.parts import parts
from coordinator.verification import limits_of, verify
from tests.archives import pack
from tests.jobs import Client

URL = "/api/v1/environments"
CONFIGURATION = b"behaviors:\n  Walk:\n    trainer_type: ppo\n    max_steps: 100\n"
MANIFEST: dict[str, Any] = {
    "executable": "maze.x86_64", "areas": {"min": 1, "max": 4},
    "behaviours": {"Walk": {"config": "Walk.yaml", "steps": {"min": 10, "max": 1_000}, "observation_shapes": [[8]],
                            "actions": {"continuous": 2, "discrete": []}}},
}  # fmt: skip


def files(manifest: Any = MANIFEST, **more: bytes | None) -> dict[str, bytes]:
    """Of a good build, with changes: names with __ for a dot, None for a file that is not there."""
    its = {"maze.x86_64": b"\x7fELF", "Walk.yaml": CONFIGURATION, "manifest.json": json.dumps(manifest).encode()}
    changed = its | {name.replace("__", "."): content for name, content in more.items()}
    return {name: content for name, content in changed.items() if content is not None}


def archive(form: str = "zip", **more: Any) -> bytes:
    return pack(files(**more), form, ("maze.x86_64",))


def announce(client: Client, headers: dict[str, str], content: bytes, version: str = "1", **more: Any) -> Any:
    body = {"env_id": "maze", "version": version, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return client.post(URL, json=body | more, headers=headers)


def put(begun: Any, content: bytes) -> list[dict[str, Any]]:
    """The parts straight to S3; what completes the upload."""
    done, size = [], begun["part_size"]
    for part in begun["parts"]:
        piece = content[(part["number"] - 1) * size : part["number"] * size]
        answer = requests.put(part["url"], data=piece, timeout=30)
        answer.raise_for_status()
        done.append({"number": part["number"], "etag": answer.headers["ETag"]})
    return done


def complete(client: Client, headers: dict[str, str], begun: Any, done: list[dict[str, Any]]) -> Any:
    path = f"{URL}/{begun['env_id']}/versions/{begun['version']}/complete"
    return client.post(path, json={"parts": done}, headers=headers)


def uploaded(client: Client, headers: dict[str, str], content: bytes, version: str = "1", **more: Any) -> Any:
    """A build that is VERIFYING."""
    begun = announce(client, headers, content, version, **more)
    assert begun.status_code == 200, begun.json
    answer = complete(client, headers, begun.json, put(begun.json, content))
    assert answer.status_code == 200, answer.json
    return answer.json


def verified(app: Flask, build_id: str) -> None:
    """What the task coord.verify does."""
    its = parts(app)
    with app.app_context():
        verify(its.storage, limits_of(its.config), UUID(build_id))
    its.catalogue.forget("maze")


def shown(client: Client, headers: dict[str, str], version: str = "1") -> Any:
    answer = client.get(f"{URL}/maze", headers=headers).json
    return next(its for its in answer["versions"] if its["version"] == version)


def ready(
    app: Flask, client: Client, headers: dict[str, str], version: str = "1", sent: Any = None, **more: Any
) -> str:
    """The id of a build that can be trained in; `sent` is a manifest that comes with the upload."""
    its = uploaded(client, headers, archive(**more), version, **({"manifest": sent} if sent else {}))
    verified(app, its["id"])
    found = shown(client, headers, version)
    assert found["state"] == "READY", found
    return str(its["id"])
