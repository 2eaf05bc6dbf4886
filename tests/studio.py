"""The things of a studio, and what is asked of each route about them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from flask import Flask

from coordinator.accounts import teams, tokens, users
from coordinator.extensions import db
from coordinator.models import Build, Episode, Job
from coordinator.parts import parts
from coordinator.permissions import Role
from tests.jobs import URL, body
from tests.people import STUDIO, People, id_of, of_node, people
from tests.played_node import PlayedNode
from wire.names import NODE_API, build_key

TEAM, MAKER = f"{STUDIO} admin", "maker admin"
ENVIRONMENTS, MEMBERS = "/api/v1/environments", "/api/v1/teams/<team>/members"
LIMITS = "/api/v1/limits"
RUN, VERSION = f"{URL}/<uuid:run_id>", f"{ENVIRONMENTS}/<env_id>/versions/<version>"
ATTEMPT, BUILD = f"{NODE_API}/attempts/<uuid:run_id>/<int:attempt>", f"{NODE_API}/builds/<uuid:build_id>"


@dataclass
class Studio:
    """A trained run of the maker's, one that a node has claimed and a build; more of each when it is asked for."""

    app: Flask
    people: People
    client: Any
    trained: str = ""
    claimed: str = ""
    claim: str = ""
    build_id: UUID | None = None

    def run_id(self) -> str:
        """A new job of the maker's."""
        job = self.client.post(URL, json=body(), headers=self.people.headers("maker")).json
        return str(job["run_id"])

    def build(self, state: str) -> Build:
        """A new version of the studio's environment, by the maker."""
        made, storage = uuid4(), parts(self.app).storage
        key = build_key(made)
        with self.app.app_context():
            row = Build(
                id=made, env_id="maze", version=str(made), owner_id=users.named(MAKER).id, state=state, size=5, key=key,
                team_id=teams.named(TEAM).id, sha256="0" * 64, manifest={"behaviours": {}},
                upload_id=storage.begin_upload(key) if state == "UPLOADING" else None,
            )  # fmt: skip
            db.session.add(row)
            db.session.commit()
            db.session.refresh(row)
            db.session.expunge(row)
        return row

    def address(self, state: str) -> str:
        """Of a new version in that state."""
        return f"{ENVIRONMENTS}/maze/versions/{self.build(state).version}"

    def hidden(self) -> str:
        """Of an environment of which no version is READY."""
        env_id = str(uuid4())
        self.client.post(ENVIRONMENTS, json=upload(env_id), headers=self.people.headers("maker"))
        return f"{ENVIRONMENTS}/{env_id}"

    def token_id(self) -> str:
        """Of a new token of the maker's for the studio."""
        with self.app.app_context():
            return str(id_of(tokens.create_for_user(MAKER, teams.named(TEAM))))

    def node(self) -> str:
        """The name of a new training node."""
        name = f"node-{uuid4()}"
        with self.app.app_context():
            of_node(name)
        return name

    def newcomer(self) -> str:
        """Of a user whom the studio has just taken in."""
        with self.app.app_context():
            user = users.made(f"newcomer {uuid4()}")
            teams.put(teams.named(TEAM).id, user, Role.VIEWER)
            return f"/api/v1/teams/{TEAM}/members/{user.name}"


def studio(app: Flask) -> Studio:
    """Needs the pipeline, by which its run is trained."""
    with app.app_context():
        made = Studio(app, people(), app.test_client())
    node = PlayedNode(app, made.people.headers("node"))
    made.trained, made.claimed, made.claim = made.run_id(), made.run_id(), str(uuid4())
    node.train(made.trained)
    made.build_id = made.build("READY").id
    with app.app_context():
        _record_an_episode(app, made.trained)
        job = db.session.get_one(Job, UUID(made.claimed))
        job.build_id, job.initialize_from = made.build_id, UUID(made.trained)
        db.session.commit()
    assert node.claim(made.claimed, claim=UUID(made.claim)).status_code == 200
    return made


def upload(env_id: str) -> dict[str, Any]:
    """What a studio posts before it uploads a build."""
    return {"env_id": env_id, "version": "1", "size": 5, "sha256": "0" * 64}


def _record_an_episode(app: Flask, run_id: str) -> None:
    storage, key, content = parts(app).storage, f"recordings/{run_id}", b"\x1e{}\n"
    storage.s3.put_object(Bucket=storage.bucket, Key=key, Body=content)
    db.session.add(Episode(run_id=UUID(run_id), attempt=1, number=1, key=key, start=0, size=len(content), times_ms=[0],
                           began_at=datetime.now(UTC)))  # fmt: skip


Asks = tuple[str, Any]
"""A path and a body."""
ASKS: dict[tuple[str, str], Callable[[Studio], Asks]] = {
    ("POST", "/api/v1/tokens"): lambda its: ("/api/v1/tokens", {"name": "one more"}),
    ("DELETE", "/api/v1/tokens/<uuid:token_id>"): lambda its: (f"/api/v1/tokens/{its.token_id()}", None),
    ("POST", "/api/v1/users"): lambda its: ("/api/v1/users", {"name": f"newcomer {uuid4()}"}),
    ("PUT", "/api/v1/users/<user>"): lambda its: (
        f"/api/v1/users/{its.newcomer().rpartition('/')[2]}", {"is_disabled": True}),
    ("POST", "/api/v1/teams"): lambda its: ("/api/v1/teams", {"name": f"team {uuid4()}", "owner": MAKER}),
    ("GET", MEMBERS): lambda its: (f"/api/v1/teams/{TEAM}/members", None),
    ("PUT", f"{MEMBERS}/<user>"): lambda its: (its.newcomer(), {"role": "member"}),
    ("DELETE", f"{MEMBERS}/<user>"): lambda its: (its.newcomer(), None),
    **{(method, f"{LIMITS}/{of}/<{of[:-1]}>/<limit>"): lambda its, of=of, who=who: (  # type: ignore[misc]
        f"{LIMITS}/{of}/{who}/sockets", {"value": 1_000}) for method in ("PUT", "DELETE")
       for of, who in (("users", MAKER), ("teams", TEAM))},
    ("POST", URL): lambda its: (URL, body()),
    ("DELETE", RUN): lambda its: (f"{URL}/{its.run_id()}", None),
    ("POST", f"{RUN}/cancel"): lambda its: (f"{URL}/{its.run_id()}/cancel", None),
    ("POST", ENVIRONMENTS): lambda its: (ENVIRONMENTS, upload(str(uuid4()))),
    ("GET", f"{ENVIRONMENTS}/<env_id>"): lambda its: (its.hidden(), None),
    ("POST", f"{VERSION}/parts"): lambda its: (f"{its.address('UPLOADING')}/parts", {}),
    ("POST", f"{VERSION}/complete"): lambda its: (
        f"{its.address('UPLOADING')}/complete", {"parts": [{"number": 1, "etag": "e"}]}),
    ("POST", f"{VERSION}/retire"): lambda its: (f"{its.address('READY')}/retire", None),
    ("POST", f"{NODE_API}/<node>/revoke"): lambda its: (f"{NODE_API}/{its.node()}/revoke", None),
    ("POST", f"{NODE_API}/hello"): lambda its: (f"{NODE_API}/hello", {"slots": 1}),
    ("POST", f"{NODE_API}/self-check"): lambda its: (f"{NODE_API}/self-check", {"passed": True}),
    ("POST", f"{NODE_API}/claims"): lambda its: (
        f"{NODE_API}/claims", {"run_id": its.claimed, "attempt": 1, "claim": its.claim}),
    **{("POST", f"{ATTEMPT}/{what}"): lambda its, what=what: (f"{NODE_API}/attempts/{its.claimed}/1/{what}", {})
       for what in ("heartbeat", "handed-in", "again")},
    ("POST", f"{ATTEMPT}/uploads"): lambda its: (
        f"{NODE_API}/attempts/{its.claimed}/1/uploads", {"name": "model.onnx"}),
    ("POST", f"{BUILD}/link"): lambda its: (f"{NODE_API}/builds/{its.build_id}/link", {}),
    ("POST", f"{BUILD}/check"): lambda its: (f"{NODE_API}/builds/{its.build_id}/check", {}),
}  # fmt: skip


def asked(its: Studio, method: str, rule: str) -> Asks:
    """What is asked of a route: as ASKS says, else of the trained run."""
    if (method, rule) in ASKS:
        return ASKS[method, rule](its)
    path = rule.replace("<uuid:run_id>", its.trained).replace("<name>", "metrics_data.json")
    path = path.replace("<asset>", "page.js")
    return path.replace("<int:episode>", "1"), None
