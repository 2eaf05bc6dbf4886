"""docs/protocol.md, people: who am I, tokens that are made and revoked, teams whose members come and go."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import text

from coordinator.accounts import teams, tokens, users
from coordinator.app import create_app
from coordinator.config import Config
from coordinator.extensions import db
from coordinator.permissions import Role
from services.platform import wait_until
from tests.jobs import URL, Client, bearer, body
from tests.people import People, id_of, people

Headers = dict[str, str]
TOKENS, TEAMS, STUDIO = "/api/v1/tokens", "/api/v1/teams", "studio admin"
NO_NAME = (
    "A name has 1 to 200 characters that can be seen, and neither '/' nor control characters among them. It does not "
    "begin or end with a space, and is not of dots alone."
)
THE_LAB = ["users create ann", "users create bob --operator", "teams create lab ann", "teams add lab bob --role viewer"]
MEMBERS = f"{TEAMS}/{STUDIO}/members"


@pytest.fixture
def its(app: Flask) -> People:
    with app.app_context():
        return people()


@pytest.fixture
def key(app: Flask, its: People) -> Headers:
    """The maker's own key: an admin token for his own team."""
    with app.app_context():
        return bearer(tokens.create_for_user("maker admin", scope="admin", name="my key"))


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """No token is remembered: as in a process that has not seen it for two seconds."""
    monkeypatch.setattr(tokens, "KNOWN_SECONDS", 0.0)


def test_a_token_says_for_whom_it_speaks(app: Flask, client: Client) -> None:
    ends = datetime.now(UTC) + timedelta(days=1)
    with app.app_context():
        token = tokens.create_for_user("somebody", name="my game", scope="read", expires_at=ends)
        token_id, user_id = str(id_of(token)), str(users.named("somebody").id)
    assert client.get("/api/v1/me", headers=bearer(token)).json == {
        "id": user_id, "name": "somebody", "is_operator": False, "team": "somebody", "role": "owner",
        "token": {"id": token_id, "name": "my game", "scope": "read", "expires_at": ends.isoformat()},
    }  # fmt: skip


def test_a_token_is_made_shown_once_and_works(client: Client, key: Headers) -> None:
    made = client.post(TOKENS, json={"name": "a game"}, headers=key).json
    assert client.get(URL, headers=bearer(made.pop("token"))).status_code == 200
    (shown,) = [it for it in client.get(TOKENS, headers=key).json if it["name"] == "a game"]
    assert made.pop("last_used_at") is None
    assert shown.pop("last_used_at")
    assert shown == made
    assert (made["user"], made["team"], made["scope"]) == ("maker admin", "maker admin", "write")
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)


@pytest.mark.parametrize(("wanted", "word"), [
    ({}, "name"), ({"name": ""}, "name"), ({"name": "x", "scope": "root"}, "scope"), ({"name": "a\0b"}, "name"),
    ({"name": "x", "expires_in_days": 0}, "expires_in_days"), ({"name": "x", "expires_in_days": 10**9}, "expires"),
])  # fmt: skip
def test_a_token_that_could_not_be_is_refused(client: Client, key: Headers, wanted: Any, word: str) -> None:
    answer = client.post(TOKENS, json=wanted, headers=key)
    assert (answer.status_code, word in answer.json["detail"]) == (422, True)


def test_a_users_key_reaches_what_he_is_in_his_other_teams(client: Client, key: Headers, its: People) -> None:
    listed = client.get(TEAMS, headers=key).json
    assert {it["name"]: (it["role"], it["is_personal"]) for it in listed} == {
        STUDIO: ("member", False), "maker admin": ("owner", True),
    }  # fmt: skip
    made = client.post(TOKENS, json={"name": "for the studio", "team": STUDIO}, headers=key).json
    run_id = client.post(URL, json=body(), headers=bearer(made["token"])).json["run_id"]
    assert client.get(f"{URL}/{run_id}", headers=its.headers("mate")).status_code == 200
    assert [it["run_id"] for it in client.get(f"{URL}?team={STUDIO}", headers=key).json] == [run_id]


def test_a_token_for_one_team_reaches_no_other(client: Client, key: Headers, its: People) -> None:
    run_id = client.post(URL, json=body(), headers=key).json["run_id"]
    maker = its.headers("maker")
    assert client.get(f"{URL}/{run_id}", headers=maker).status_code == 404
    assert client.get(URL, headers=maker).json == []
    assert client.post(TOKENS, json={"name": "more", "team": "maker admin"}, headers=maker).status_code == 404
    assert client.delete(f"{TOKENS}/{client.get('/api/v1/me', headers=key).json['token']['id']}",
                         headers=maker).status_code == 404  # fmt: skip
    assert {it["team"] for it in client.get(TOKENS, headers=maker).json} == {STUDIO}
    assert [it["name"] for it in client.get(TEAMS, headers=maker).json] == [STUDIO]


def test_a_key_to_the_users_own_team_needs_the_scope_admin(app: Flask, client: Client, its: People) -> None:
    with app.app_context():
        game = bearer(tokens.create_for_user("maker admin", scope="write"))
    assert client.post(TOKENS, json={"name": "more"}, headers=game).status_code == 403
    assert client.get(f"{URL}?team={STUDIO}", headers=game).status_code == 404
    assert [it["name"] for it in client.get(TEAMS, headers=game).json] == ["maker admin"]


def test_a_token_for_reading_changes_nothing_of_its_users_own(app: Flask, client: Client, key: Headers) -> None:
    run_id = client.post(URL, json=body(), headers=key).json["run_id"]
    with app.app_context():
        reads = bearer(tokens.create_for_user("maker admin", scope="read"))
    assert client.get(f"{URL}/{run_id}", headers=reads).status_code == 200
    for answer in (client.post(URL, json=body(), headers=reads), client.delete(f"{URL}/{run_id}", headers=reads),
                   client.post(f"{URL}/{run_id}/cancel", headers=reads)):  # fmt: skip
        assert (answer.status_code, answer.json["code"]) == (403, "not_allowed")
        assert answer.json["detail"].startswith("This token's scope is 'read'. To ")
    assert client.get(f"{URL}/{run_id}", headers=key).json["cancel_requested"] is False


def test_a_viewer_who_wants_to_write_is_told_why_not(client: Client, its: People) -> None:
    run_id = client.post(URL, json=body(), headers=its.headers("maker")).json["run_id"]
    answer = client.post(f"{URL}/{run_id}/cancel", headers=its.headers("viewer"))
    assert answer.json == {"code": "not_allowed", "detail": (
        "Your role in team 'studio admin' is viewer, which may not change jobs and builds of others.")}  # fmt: skip


def test_who_made_a_job_is_told_to_the_others_of_the_team(client: Client, its: People) -> None:
    run_id = client.post(URL, json=body(), headers=its.headers("maker")).json["run_id"]
    shown = client.get(f"{URL}/{run_id}", headers=its.headers("owner")).json
    (listed,) = client.get(f"{URL}?team={STUDIO}", headers=its.headers("viewer")).json
    cancelled = client.post(f"{URL}/{run_id}/cancel", headers=its.headers("operator")).json
    assert {(it["created_by"]["name"], it["team"]) for it in (shown, listed, cancelled)} == {("maker admin", STUDIO)}
    assert client.get(URL, headers=its.headers("owner")).json == []


def test_a_revoked_token_is_good_for_nothing(client: Client, key: Headers, unknown: None) -> None:
    made = client.post(TOKENS, json={"name": "a game"}, headers=key).json
    assert client.get(URL, headers=bearer(made["token"])).status_code == 200
    assert client.delete(f"{TOKENS}/{made['id']}", headers=key).json is True
    assert client.get(URL, headers=bearer(made["token"])).status_code == 401
    assert made["id"] not in {it["id"] for it in client.get(TOKENS, headers=key).json}


def test_revoking_takes_effect_in_the_same_process_at_once(client: Client, key: Headers) -> None:
    made = client.post(TOKENS, json={"name": "a game"}, headers=key).json
    assert client.get(URL, headers=bearer(made["token"])).status_code == 200
    client.delete(f"{TOKENS}/{made['id']}", headers=key)
    assert client.get(URL, headers=bearer(made["token"])).status_code == 401


def test_an_expired_token_says_so(client: Client, its: People) -> None:
    answer = client.get(URL, headers=its.headers("expired"))
    assert (answer.status_code, answer.json["detail"]) == (401, tokens.EXPIRED)


def test_a_token_is_not_believed_beyond_its_end(app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a process would remember it. A busy machine may need longer than a second for the first request."""
    monkeypatch.setattr(tokens, "KNOWN_SECONDS", 600.0)
    for seconds in (1, 4, 16):
        with app.app_context():
            ends = datetime.now(UTC) + timedelta(seconds=seconds)
            token = bearer(tokens.create_for_user("somebody", expires_at=ends))
        if client.get(URL, headers=token).status_code == 200:
            break
    assert datetime.now(UTC) < ends
    wait_until(lambda: client.get(URL, headers=token).status_code == 401, 20, "the token's end")
    assert datetime.now(UTC) >= ends


def test_the_last_use_is_written_once_a_minute(app: Flask, client: Client, unknown: None) -> None:
    with app.app_context():
        token = tokens.create_for_user("somebody")

    def noted_after(seconds: int) -> bool:
        """Whether a call is written down, so long after the one before."""
        with app.app_context():
            before = db.session.execute(
                text("UPDATE tokens SET last_used_at = now() - make_interval(secs => :ago) RETURNING last_used_at"),
                {"ago": seconds},
            ).scalar()
            db.session.commit()
        assert client.get(URL, headers=bearer(token)).status_code == 200
        with app.app_context():
            return bool(db.session.execute(text("SELECT max(last_used_at) FROM tokens")).scalar() != before)

    assert not noted_after(50)
    assert noted_after(70)


def test_a_member_is_taken_in_given_a_role_and_let_go(app: Flask, client: Client, its: People, unknown: None) -> None:
    owner = its.headers("owner")
    with app.app_context():
        users.made("newcomer")
    taken_in = client.put(f"{MEMBERS}/newcomer", json={"role": "viewer"}, headers=owner).json
    assert {it["user"]: it["role"] for it in taken_in}["newcomer"] == "viewer"
    with app.app_context():
        newcomer = bearer(tokens.create_for_user("newcomer", teams.named(STUDIO)))
    assert client.post(URL, json=body(), headers=newcomer).status_code == 403
    client.put(f"{MEMBERS}/newcomer", json={"role": "member"}, headers=owner)
    assert client.post(URL, json=body(), headers=newcomer).status_code == 200
    assert client.delete(f"{MEMBERS}/newcomer", headers=owner).json is True
    assert client.get(URL, headers=newcomer).status_code == 401
    client.put(f"{MEMBERS}/newcomer", json={"role": "member"}, headers=owner)
    assert client.get(URL, headers=newcomer).status_code == 401  # what was revoked stays so


def test_a_team_keeps_an_owner(client: Client, its: People) -> None:
    owner = its.headers("owner")
    for answer in (client.put(f"{MEMBERS}/owner admin", json={"role": "member"}, headers=owner),
                   client.delete(f"{MEMBERS}/owner admin", headers=owner)):  # fmt: skip
        assert (answer.status_code, answer.json["detail"]) == (
            409, "'owner admin' is the team's only owner: make another one first.")  # fmt: skip
    assert client.put(f"{MEMBERS}/mate admin", json={"role": "owner"}, headers=owner).status_code == 200
    assert client.delete(f"{MEMBERS}/owner admin", headers=owner).status_code == 200


def test_nobody_is_taken_into_a_users_own_team(client: Client, key: Headers, its: People) -> None:
    answer = client.put(f"{TEAMS}/maker admin/members/mate admin", json={"role": "viewer"}, headers=key)
    assert (answer.status_code, "own team" in answer.json["detail"]) == (409, True)


@pytest.mark.parametrize(("wanted", "status"), [({"role": "operator"}, 422), ({"role": "god"}, 422), ({}, 422)])
def test_there_are_three_roles(client: Client, its: People, wanted: Any, status: int) -> None:
    assert client.put(f"{MEMBERS}/mate admin", json=wanted, headers=its.headers("owner")).status_code == status


def test_who_does_not_exist_is_not_taken_in(client: Client, its: People) -> None:
    answer = client.put(f"{MEMBERS}/nobody", json={"role": "viewer"}, headers=its.headers("owner"))
    assert (answer.status_code, answer.json["detail"]) == (404, "There is no user 'nobody'.")


def test_two_teams_have_keys_of_their_own_for_repeated_requests(client: Client, key: Headers, its: People) -> None:
    """The same user's Idempotency-Key in another team is another request, and says so."""
    repeated = {"Idempotency-Key": str(uuid4())}
    assert client.post(URL, json=body(), headers=key | repeated).status_code == 200
    assert client.post(URL, json=body(), headers=its.headers("maker") | repeated).json["code"] == (
        "idempotency_key_reused")  # fmt: skip


@pytest.mark.parametrize(("address", "header", "status"), [
    ("127.0.0.1", {}, 200), ("::1", {}, 200), ("::ffff:127.0.0.1", {}, 200), ("192.0.2.1", {}, 401),
    ("", {}, 401),  # by a socket file: anybody may stand before that
    ("127.0.0.1", {"X-Forwarded-For": "1.2.3.4"}, 401), ("127.0.0.1", {"Forwarded": "for=1.2.3.4"}, 401),
])  # fmt: skip
def test_a_token_for_development_works_on_this_machine_only(
    app: Flask, client: Client, address: str, header: Headers, status: int
) -> None:
    with app.app_context():
        token = tokens.create_for_user("developer", is_local=True, scope="admin")
    caller = {"environ_base": {"REMOTE_ADDR": address}, "headers": bearer(token) | header}
    answer = client.get(URL, **caller)
    assert answer.status_code == status
    made = client.post(TOKENS, json={"name": "another"}, **caller)
    if made.status_code == 200:  # it makes only its like
        far = {"environ_base": {"REMOTE_ADDR": "192.0.2.1"}, "headers": bearer(made.json["token"])}
        assert client.get(URL, **far).status_code == 401


def test_the_commands_make_users_teams_and_tokens(app: Flask, client: Client) -> None:
    run = app.test_cli_runner().invoke
    assert [run(args=line.split()).exit_code for line in THE_LAB] == [0, 0, 0, 0]
    assert {"lab ann owner", "lab bob viewer"} < {*run(args=["teams", "list"]).output.splitlines()}
    assert run(args=["users", "list"]).output.splitlines()[1].endswith(" operator")
    options = ["--team", "lab", "--scope", "read", "--expires", "3", "--name", "ci"]
    token = run(args=["tokens", "create", "ann", *options]).output.strip()
    me = client.get("/api/v1/me", headers=bearer(token)).json
    assert (me["team"], me["token"]["scope"], me["token"]["name"]) == ("lab", "read", "ci")
    assert me["token"]["expires_at"]
    (line,) = run(args=["tokens", "list", "ann"]).output.splitlines()
    assert line.startswith(me["token"]["id"] + " ann lab read expires ")
    assert run(args=["tokens", "revoke", me["token"]["id"]]).exit_code == 0
    assert client.get("/api/v1/me", headers=bearer(token)).status_code == 401
    assert run(args=["teams", "remove", "lab", "bob"]).exit_code == 0


@pytest.mark.parametrize(("command", "sentence"), [
    ("teams create owner stranger", "The name 'owner' is taken by a user or a team."),
    ("teams create lab nobody", "There is no user 'nobody'."),
    ("teams add lab owner", "There is no team 'lab'."),
    ("tokens create owner --team stranger", "User 'owner' is not in team 'stranger'."),
    ("tokens revoke 6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a", "There is no token 6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a."),
    *((f"users create {name}", NO_NAME) for name in ("a/b", "..", ".", "ann\u200b", "\ufeff")),
])  # fmt: skip
def test_a_command_that_cannot_be_says_why(app: Flask, command: str, sentence: str) -> None:
    result = app.test_cli_runner().invoke(args=command.split())
    assert (result.exit_code, result.output.strip()) == (1, f"Error: {sentence}")


def test_an_operators_token_for_a_team_speaks_for_a_member_and_not_for_an_operator(
    app: Flask, client: Client, its: People
) -> None:
    """It may lie in a game."""
    with app.app_context():
        team, eve = teams.created("lab", users.made("eve")), users.named("operator admin")
        teams.put(team.id, eve, Role.OWNER)
        in_the_lab = bearer(tokens.create_for_user(eve.name, team, scope="admin"))
    run_id = client.post(URL, json=body(), headers=its.headers("maker")).json["run_id"]
    for path in (f"{URL}/{run_id}", f"{URL}?team={STUDIO}", MEMBERS, f"/api/v1/audit?team={STUDIO}"):
        answers = [client.get(path, headers=who).status_code for who in (its.headers("operator"), in_the_lab)]
        assert answers == [200, 404], path
    for path in ("/api/v1/users", "/api/v1/audit?everywhere=1", "/api/v1/limits?user=eve"):
        assert client.get(path, headers=in_the_lab).status_code == 403, path
    assert client.post(f"{URL}/{run_id}/cancel", headers=in_the_lab).status_code == 404
    assert client.get("/api/v1/me", headers=in_the_lab).json["is_operator"] is False


def test_an_operator_makes_no_token_for_a_team_in_which_he_is_not(client: Client, its: People) -> None:
    """It would be good for nothing, until somebody took him in."""
    answer = client.post(TOKENS, json={"name": "a game", "team": STUDIO}, headers=its.headers("operator"))
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert answer.json["detail"].startswith(f"You are not in team {STUDIO!r}")


@pytest.mark.parametrize(
    "command",
    ["users list", "tokens create ann", "limits list --user ann", "audit export", "nodes enroll a", "nodes drain a",
     "rejected"],
)  # fmt: skip
def test_a_command_that_finds_no_database_says_so_in_a_sentence(config: Config, command: str) -> None:
    away = replace(config, database_url="postgresql://u:secret@127.0.0.1:1/jobs")
    result = create_app(away).test_cli_runner().invoke(args=command.split())
    assert (result.exit_code, result.output.count("\n")) == (1, 1), result.output
    assert result.output.startswith("Error: PostgreSQL is away: ")
    assert "secret" not in result.output
