"""docs/protocol.md, users from outside: who comes for the first time, what he may, and whom he can never become."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import exc, text

from coordinator.accounts import installation, teams, tokens, users
from coordinator.accounts.issuers.door import Issuers
from coordinator.accounts.issuers.identity import EXPIRED
from coordinator.accounts.issuers.signed import NOT_TRUSTED
from coordinator.errors import Conflict
from coordinator.extensions import db
from coordinator.models import AuditEntry
from coordinator.parts import parts
from coordinator.permissions import Role
from services.stack import Stack
from tests.conftest import config_of, running
from tests.databases import Databases
from tests.issuer import ISSUER, SECRET, SETTINGS, KeyServer, by_secret, claims, key_server, rsa, session, signed
from tests.jobs import URL, Client, bearer, body
from tests.people import people

Headers = dict[str, str]
ME, TICKET = "/api/v1/me", URL + "/{}/ticket"


@pytest.fixture(scope="module")
def keys() -> Iterator[KeyServer]:
    with key_server(rsa()) as server:
        yield server


@pytest.fixture(scope="module")
def app(stack: Stack, databases: Databases, keys: KeyServer) -> Iterator[Flask]:
    """Trusts the issuer of these keys and a NextAuth. Each test has users of its own."""
    with databases.lent() as name:
        config = config_of(stack, name, auth_jwks_url=keys.url, nextauth_secret=SECRET, **SETTINGS)
        with running(config) as made:
            yield made


def outside(subject: str, **changes: Any) -> Headers:
    """The headers of one whom the issuer has signed in."""
    return bearer(signed(claims(subject, **changes)))


def trusting(app: Flask, **settings: Any) -> None:
    """From now on the app trusts by these settings."""
    config = replace(parts(app).config, **settings)
    replace(parts(app), config=config, issuers=Issuers(config)).install(app)
    tokens.forget()


@pytest.fixture
def otherwise(app: Flask) -> Iterator[Any]:
    """Changes whom the app trusts, until the test ends."""
    before = parts(app)
    yield lambda **settings: trusting(app, **settings)
    before.install(app)
    tokens.forget()


def test_who_comes_for_the_first_time_is_made_and_known_afterwards(app: Flask, client: Client) -> None:
    first, later = outside("first"), outside("first", seconds=60, name="Another Name")
    me = client.get(ME, headers=first).json
    assert me.pop("token") | {"expires_at": ""} == {"id": None, "name": ISSUER, "scope": "write", "expires_at": ""}
    assert me == {"id": me["id"], "name": "Name of first", "is_operator": False, "team": "Name of first",
                  "role": "owner"}  # fmt: skip
    tokens.forget()  # as in another process
    assert client.get(ME, headers=later).json["id"] == me["id"]
    with app.app_context():
        (listed,) = [it for it in users.everybody() if it.row.subject == "first"]
    assert (listed.row.issuer, listed.row.name) == (ISSUER, "Name of first")
    assert listed.last_seen_at


def test_he_submits_and_sees_his_own_jobs_and_nobody_elses(client: Client, owner: Headers) -> None:
    mine, others = outside("submits"), outside("watches")
    job = client.post(URL, json=body(), headers=mine).json
    assert (job["created_by"]["name"], job["team"]) == ("Name of submits", "Name of submits")
    theirs = client.post(URL, json=body(), headers=owner).json["run_id"]
    assert [it["run_id"] for it in client.get(URL, headers=mine).json] == [job["run_id"]]
    for who, run_id in ((mine, theirs), (others, job["run_id"]), (owner, job["run_id"])):
        assert client.get(f"{URL}/{run_id}", headers=who).status_code == 404
        assert client.delete(f"{URL}/{run_id}", headers=who).status_code == 404
    assert client.post(f"{URL}/{job['run_id']}/cancel", headers=mine).status_code == 200


def test_a_session_of_nextauth_is_somebody_else_of_the_same_name(client: Client) -> None:
    signed_in = client.get(ME, headers=outside("both")).json
    by_session = client.get(ME, headers=bearer(session(claims("both", iss=None, aud=None)))).json
    assert signed_in["id"] != by_session["id"]
    assert by_session["token"]["name"] == "NextAuth"


@pytest.mark.parametrize("name", ["owner", "a studio"])
def test_a_name_that_is_taken_leads_nowhere(app: Flask, client: Client, owner: Headers, name: str) -> None:
    with app.app_context():
        before = users.named("owner").id
        if name == "a studio":
            teams.created(name, users.named("owner"))
    run_id = client.post(URL, json=body(), headers=owner).json["run_id"]
    me = client.get(ME, headers=outside(f"imposter of {name}", name=name)).json
    assert me["name"].startswith(f"{name}-")
    assert (me["team"], me["id"] != str(before)) == (me["name"], True)
    assert client.get(f"{URL}/{run_id}", headers=outside(f"imposter of {name}", name=name)).status_code == 404


def test_nobody_is_awaited_by_a_name_that_somebody_has_chosen(app: Flask, client: Client) -> None:
    """An operator who makes a user gets no token for a stranger who was called so before."""
    client.get(ME, headers=outside("squatter", name="ci-robot"))
    with app.app_context(), pytest.raises(Conflict, match="'ci-robot' is signed in by"):
        tokens.create_for_user("ci-robot")
    result = app.test_cli_runner().invoke(args=["tokens", "create", "ci-robot"])
    assert (result.exit_code, "Choose another name." in result.output) == (1, True)


def test_nobody_from_outside_is_ever_an_operator(app: Flask, client: Client) -> None:
    his = outside("climber", name="climber")
    client.get(ME, headers=his)
    with app.app_context():
        with pytest.raises(Conflict, match="Operators have tokens of this installation"):
            installation.change(users.named("climber"), is_operator=True)
        with pytest.raises(exc.IntegrityError, match="users_operators_are_ours"):
            db.session.execute(text("UPDATE users SET is_operator = true WHERE name = 'climber'"))
        db.session.rollback()
        operator = people().headers("operator")
    answer = client.put("/api/v1/users/climber", json={"is_operator": True}, headers=operator)
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert client.get("/api/v1/users", headers=his).status_code == 403


def test_it_is_noted_who_came_and_from_where(app: Flask, client: Client) -> None:
    client.get(ME, headers=outside("noted"))
    with app.app_context():
        (entry,) = db.session.query(AuditEntry).filter_by(object="Name of noted").all()
    assert (entry.action, entry.actor_type, entry.actor, entry.token, entry.origin) == (
        "user.made", "user", "Name of noted", ISSUER, "127.0.0.1")  # fmt: skip
    assert entry.details == {"issuer": ISSUER, "subject": "noted"}


def test_requests_that_come_at_once_make_one_user(app: Flask) -> None:
    his = outside("hurried")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: app.test_client().get(ME, headers=his), range(8)))
    assert [it.status_code for it in answers] == [200] * 8
    assert len({(it.json or {})["id"] for it in answers}) == 1


def test_a_member_of_a_team_reaches_it_by_a_token_of_his_own(app: Flask, client: Client, otherwise: Any) -> None:
    otherwise(auth_scope="admin")
    his = outside("member", name="member")
    client.get(ME, headers=his)
    with app.app_context():
        team = teams.created("lab", users.named("owner"))
        teams.put(team.id, users.named("member"), Role.MEMBER)
    made = client.post("/api/v1/tokens", json={"name": "lab", "team": "lab"}, headers=his).json
    assert client.post(URL, json=body(), headers=bearer(made["token"])).json["team"] == "lab"
    listed = client.get("/api/v1/teams/lab/members", headers=bearer(made["token"])).json
    assert {it["user"]: it["issuer"] for it in listed} == {"member": ISSUER, "owner": None}
    otherwise(auth_scope="write")
    assert client.post("/api/v1/tokens", json={"name": "lab"}, headers=his).status_code == 403


def test_the_operator_may_let_them_read_only(client: Client, otherwise: Any) -> None:
    otherwise(auth_scope="read")
    assert client.post(URL, json=body(), headers=outside("reader")).status_code == 403
    assert client.get(URL, headers=outside("reader")).status_code == 200


def test_one_who_is_disabled_is_refused_and_not_made_again(app: Flask, client: Client) -> None:
    his = outside("unwanted")
    assert client.get(ME, headers=his).status_code == 200
    with app.app_context():
        installation.change(users.named("Name of unwanted"), is_disabled=True)
    answer = client.get(ME, headers=outside("unwanted", seconds=30))
    assert (answer.status_code, answer.json["detail"]) == (401, tokens.DISABLED)
    with app.app_context():
        installation.change(users.named("Name of unwanted"), is_disabled=False)
    assert client.get(ME, headers=his).status_code == 200


def test_a_shared_secret_does_instead_of_keys(client: Client, otherwise: Any) -> None:
    otherwise(auth_jwks_url="", auth_jwt_secret=SECRET)
    assert client.get(ME, headers=bearer(by_secret(claims("sharer")))).json["name"] == "Name of sharer"
    assert client.get(ME, headers=outside("sharer")).json["detail"] == NOT_TRUSTED


def test_a_token_that_is_not_good_is_answered_as_ours_are(client: Client) -> None:
    expired, forged = outside("late", seconds=-1), bearer(signed()[:-9] + "123456789")
    for headers, detail in ((expired, EXPIRED), (forged, NOT_TRUSTED)):
        answer = client.get(ME, headers=headers)
        assert answer.json == {"detail": detail, "code": "not_authenticated"}
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_after_too_many_wrong_ones_only_those_that_were_good_are_looked_at(client: Client, otherwise: Any) -> None:
    otherwise(wrong_tokens_per_minute=5)
    address = {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}
    good, new = outside("guest"), outside("guest", seconds=60)
    assert client.get(ME, headers=good, **address).status_code == 200
    told = [client.get(ME, headers=bearer(by_secret() + f"x{n}"), **address).status_code for n in range(8)]
    assert (told[0], told[-1]) == (401, 429)
    assert [client.get(ME, headers=it, **address).status_code for it in (new, good)] == [429, 200]
    assert client.get(ME, headers=new).status_code == 200  # from elsewhere


def test_without_configuration_such_a_token_is_one_that_is_not_known(client: Client, otherwise: Any) -> None:
    otherwise(auth_jwks_url="", nextauth_secret="")
    for token in (signed(), session()):
        assert client.get(ME, headers=bearer(token)).json["detail"] == tokens.WRONG_TOKEN


def test_while_no_key_is_known_it_is_told_when_to_come_again(client: Client, otherwise: Any) -> None:
    otherwise(auth_jwks_url="http://127.0.0.1:1/keys")
    answer = client.get(ME, headers=outside("early"))
    assert (answer.status_code, answer.headers["Retry-After"], answer.json["code"]) == (503, "2", "unavailable")
    assert client.get(ME, headers=bearer("tj_none")).status_code == 401  # others are not held up
