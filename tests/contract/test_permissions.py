"""Every route and the WebSocket against everybody who may come: a new route without a line here fails."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import requests
from flask import Flask

from coordinator.api import auth
from coordinator.app import create_app
from coordinator.config import Config
from coordinator.extensions import db
from coordinator.parts import parts
from coordinator.pipeline import steps
from coordinator.pipeline.receiver import reported
from services.platform import Platform
from services.stack import Stack
from tests.conftest import config_of, running
from tests.databases import Databases
from tests.integration.live import connect, farewell
from tests.issuer import AUDIENCE, ISSUER, SECRET, by_secret
from tests.jobs import URL, bearer, body
from tests.people import CALLERS, People, people
from tests.studio import ATTEMPT, BUILD, ENVIRONMENTS, LIMITS, MEMBERS, RUN, TEAM, VERSION, Asks, Studio, asked, studio
from wire.names import NODE_API

# What each caller is answered: 401 who are you, 403 you may not, 404 there is none for you, 409 it is not yours, or in.
#                  nobody garbage expired revoked stranger viewer mate maker owner node other operator
ANYBODY = "        in     in      in      in      in       in     in   in    in    in   in    in"
ONES_OWN = "       401    401     401     401     in       in     in   in    in    401  401   in"
READ = "           401    401     401     401     404      in     in   in    in    401  401   in"
SUBMIT = "         401    401     401     401     in       403    in   in    in    401  401   in"
CHANGE = "         401    401     401     401     404      403    403  in    in    401  401   in"
MANAGE = "         401    401     401     401     404      403    403  403   in    401  401   in"
REVOKE = "         401    401     401     401     404      404    404  in    in    401  401   in"
OF_ITSELF = "      401    401     401     401     401      401    401  401   401   in   in    401"
OPERATE = "        401    401     401     401     403      403    403  403   403   401  401   in"
ITS_NODE = "       401    401     401     401     401      401    401  401   401   in   409   401"
ITS_NEED = "       401    401     401     401     401      401    401  401   401   in   404   401"
NOT_YOURS = OF_ITSELF  # that is another node's answer: tests/contract/test_node_reach.py

AUDIT = "/api/v1/audit"
OF_A_RUN = ("metrics", "configuration", "bundle", "nn-model", "models", "files", "files/<name>", "files.zip", "logs",
            "episodes", "episodes/<int:episode>", "train-results")  # fmt: skip
EXPECTED = {
    ("GET", "/livez"): ANYBODY, ("GET", "/readyz"): ANYBODY,
    ("GET", "/api/v1/openapi.json"): ANYBODY, ("GET", "/api/v1/asyncapi.json"): ANYBODY,
    ("GET", "/api/docs"): ANYBODY, ("GET", "/api/docs/<asset>"): ANYBODY,
    ("GET", "/api/v1/me"): ONES_OWN, ("GET", AUDIT): ONES_OWN,
    ("GET", "/api/v1/tokens"): ONES_OWN, ("POST", "/api/v1/tokens"): ONES_OWN,
    ("DELETE", "/api/v1/tokens/<uuid:token_id>"): REVOKE,
    ("GET", "/api/v1/teams"): ONES_OWN, ("GET", MEMBERS): READ,
    ("PUT", f"{MEMBERS}/<user>"): MANAGE, ("DELETE", f"{MEMBERS}/<user>"): MANAGE,
    ("GET", "/api/v1/users"): OPERATE, ("POST", "/api/v1/users"): OPERATE, ("PUT", "/api/v1/users/<user>"): OPERATE,
    ("POST", "/api/v1/teams"): OPERATE,
    ("GET", LIMITS): ONES_OWN,
    **{(method, f"{LIMITS}/{of}/<{of[:-1]}>/<limit>"): OPERATE
       for method in ("PUT", "DELETE") for of in ("users", "teams")},
    ("GET", URL): ONES_OWN, ("POST", URL): SUBMIT,
    ("GET", RUN): READ, ("DELETE", RUN): CHANGE,
    ("POST", f"{RUN}/cancel"): CHANGE, ("POST", f"{RUN}/rerun"): CHANGE, ("POST", f"{RUN}/ticket"): READ,
    **{("GET", f"{RUN}/{what}"): READ for what in OF_A_RUN}, ("GET", f"{RUN}/checkpoint"): ITS_NEED,
    ("GET", ENVIRONMENTS): ONES_OWN, ("POST", ENVIRONMENTS): SUBMIT, ("GET", f"{ENVIRONMENTS}/<env_id>"): READ,
    ("POST", f"{VERSION}/parts"): CHANGE, ("POST", f"{VERSION}/complete"): CHANGE,
    ("POST", f"{VERSION}/retire"): CHANGE,
    ("GET", NODE_API): ONES_OWN, ("POST", f"{NODE_API}/<node>/revoke"): OPERATE,
    ("POST", f"{NODE_API}/hello"): OF_ITSELF, ("POST", f"{NODE_API}/check"): OF_ITSELF,
    ("POST", f"{NODE_API}/self-check"): OF_ITSELF, ("POST", f"{NODE_API}/claims"): ITS_NODE,
    ("POST", f"{ATTEMPT}/handed-in"): ITS_NODE, ("POST", f"{ATTEMPT}/again"): ITS_NODE,
    ("POST", f"{ATTEMPT}/heartbeat"): NOT_YOURS, ("POST", f"{ATTEMPT}/uploads"): ITS_NODE,
    ("POST", f"{BUILD}/link"): ITS_NODE, ("POST", f"{BUILD}/check"): ITS_NEED,
}  # fmt: skip
SOCKETS = {"/ws/v1/client-stream": READ}


@pytest.fixture(scope="module")
def its(stack: Stack, databases: Databases) -> Iterator[Studio]:
    """One studio for all: what a test changes, it makes for itself."""
    trusts = {"auth_issuer": ISSUER, "auth_audience": AUDIENCE, "auth_jwt_secret": SECRET, "auth_scope": "admin"}
    with databases.lent() as name, running(config_of(stack, name, **trusts)) as app:
        steps.connect(parts(app).storage, parts(app).publisher, parts(app).config)
        yield studio(app)
        reported.disconnect(dispatch_uid="pipeline")


def table(line: str) -> dict[str, str]:
    """Whom an outside issuer has signed in is a stranger as any other."""
    told = dict(zip(CALLERS, line.split(), strict=True))
    return told | {"outsider": told["stranger"]}


def answers(its: Studio, method: str, line: str, ask: Callable[[], Asks]) -> dict[str, str]:
    """What each caller was answered. A conflict counts as let in, where none is waited for."""
    told = {}
    refusals = {401, 403, 404} | ({409} if "409" in line else set())
    callers = {caller: its.people.headers(caller) for caller in CALLERS} | {"outsider": bearer(by_secret())}
    for caller, headers in callers.items():
        path, content = ask()
        answer = its.client.open(path, method=method, json=content, headers=headers)
        assert answer.status_code < 500, answer.text
        told[caller] = str(answer.status_code) if answer.status_code in refusals else "in"
    return told


@pytest.mark.parametrize(("method", "rule"), EXPECTED)
def test_everybody_is_answered_as_the_table_says(its: Studio, method: str, rule: str) -> None:
    line = EXPECTED[method, rule]
    assert answers(its, method, line, lambda: asked(its, method, rule)) == table(line)


def test_a_run_is_resumed_by_those_who_may_change_it(its: Studio) -> None:
    assert answers(its, "POST", CHANGE, lambda: (URL, body(run_id=its.trained))) == table(CHANGE)


def test_a_run_is_begun_with_the_weights_of_one_that_the_caller_sees(its: Studio) -> None:
    content = body(initialize_from=its.trained)
    told = [its.client.post(URL, json=content, headers=its.people.headers(who)) for who in ("stranger", "mate")]
    assert [answer.status_code for answer in told] == [404, 200]


def test_the_list_of_a_team_is_for_those_who_are_in_it(its: Studio) -> None:
    assert answers(its, "GET", READ, lambda: (f"{URL}?team={TEAM}", None)) == table(READ)


def test_the_audit_of_a_team_is_for_those_who_are_in_it(its: Studio) -> None:
    assert answers(its, "GET", READ, lambda: (f"{AUDIT}?team={TEAM}", None)) == table(READ)


def test_the_audit_of_everything_is_for_operators(its: Studio) -> None:
    assert answers(its, "GET", OPERATE, lambda: (f"{AUDIT}?everywhere=1", None)) == table(OPERATE)


def test_the_tokens_of_a_team_are_listed_for_its_owner(its: Studio) -> None:
    assert answers(its, "GET", MANAGE, lambda: (f"/api/v1/tokens?team={TEAM}", None)) == table(MANAGE)


def test_where_old_games_are_served_they_get_the_model_of_a_run_and_nothing_else(its: Studio) -> None:
    with running(replace(parts(its.app).config, serve_games_without_token=True)) as app:
        client = app.test_client()
        for (method, rule), line in EXPECTED.items():
            path, content = asked(its, method, rule)
            status = client.open(path, method=method, json=content).status_code
            assert status == 200 if rule == f"{RUN}/nn-model" else status == 401 or line == ANYBODY, (method, rule)
        for more in ("?version=1", "?token=x", "?"):
            assert (client.get(f"{URL}/{its.trained}/nn-model{more}").status_code == 200) is (more == "?")


def test_every_route_has_its_line() -> None:
    app = create_app(Config(database_url="postgresql://nobody@localhost/none", broker_url="amqp://localhost/none"))
    rules = list(app.url_map.iter_rules())
    served = {(method, it.rule) for it in rules if not it.websocket for method in it.methods or ()}
    assert {(method, rule) for method, rule in served if method not in ("HEAD", "OPTIONS")} == {*EXPECTED}
    assert {it.rule for it in rules if it.websocket} == {*SOCKETS}
    assert [it.rule for it in rules if auth.need_of(app.view_functions[it.endpoint]) is None] == []


def test_a_route_that_says_nothing_is_closed(app: Flask) -> None:
    app.add_url_rule("/api/v1/forgotten", view_func=lambda: "secrets", endpoint="forgotten")
    with app.app_context():
        operator = people().headers("operator")
    answer = app.test_client().get("/api/v1/forgotten", headers=operator)
    assert (answer.status_code, (answer.json or {})["code"]) == (403, "not_allowed")


@pytest.fixture(scope="module")
def at_the_socket(platform: Platform) -> People:
    """The same people on a running platform."""
    with create_app(Config.from_environment(platform.env)).app_context():
        made = people(mark=" at the socket")
        db.session.remove()
        db.engine.dispose()
    return made


@pytest.mark.parametrize(("rule", "line"), SOCKETS.items(), ids=[*SOCKETS])
def test_everybody_is_answered_at_the_socket_too(
    platform: Platform, at_the_socket: People, rule: str, line: str
) -> None:
    assert platform.socket_url.endswith(rule)
    maker = at_the_socket.headers("maker")
    run_id = requests.post(platform.url + URL, json=body(), headers=maker, timeout=30).json()["run_id"]
    assert {who: _at_the_socket(platform, at_the_socket.tokens[who], run_id) for who in CALLERS} == dict(
        zip(CALLERS, line.split(), strict=True)
    )


def _at_the_socket(platform: Platform, token: str | None, run_id: str) -> str:
    socket = connect(platform, token)
    socket.send(json.dumps({"run_id": run_id}))
    first = json.loads(socket.recv())
    if first["msg_id"] == 2:
        socket.close()
        return "in"
    assert farewell(socket) == ([], 1008)
    told = {"not_found": "404", "not_authenticated": "401"}[first["code"]]
    assert (told == "404") == (first["detail"] == f"There is no run {run_id} among your jobs.")
    return told
