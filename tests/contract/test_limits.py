"""What users and teams may have: each limit is seen, set, and held, also when fifty come at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from coordinator.accounts import teams, tokens, users
from coordinator.api import admission, pacing
from coordinator.api.schemas import Hello
from coordinator.config import Config
from coordinator.dispatching import waiting
from coordinator.errors import BadConfiguration, NotAuthenticated, TooManyRequests
from coordinator.limiting import limits
from coordinator.limiting.limit_kinds import KINDS
from coordinator.parts import parts
from coordinator.permissions import Role
from tests.integration.database import change, rows
from tests.jobs import URL, Client, bearer, body
from tests.played_node import PlayedNode

Headers = dict[str, str]
LIMITS, ENVIRONMENTS = "/api/v1/limits", "/api/v1/environments"


def limit(app: Flask, name: str, value: int | None, user: str | None = "owner", team: str | None = None) -> None:
    with app.app_context():
        subject = teams.named(team) if team else users.named(user or "")
        parts(app).limits.put(name, value, subject)


def submit(client: Client, headers: Headers, **changes: Any) -> Any:
    return client.post(URL, json=body(**changes), headers=headers)


def shown(client: Client, headers: Headers, name: str, of: str = "user") -> Any:
    return next(it for it in client.get(LIMITS, headers=headers).json if (it["name"], it["of"]) == (name, of))


def refused(answer: Any, *words: str) -> bool:
    """With a sentence in which these words stand."""
    assert answer.json["code"] == "limit_reached", answer.json
    assert [word for word in words if word not in answer.json["detail"]] == [], answer.json
    return int(answer.status_code) in (403, 429)


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, wrong_tokens_per_minute=5)


@pytest.fixture
def operator(app: Flask) -> Headers:
    with app.app_context():
        users.made("root").is_operator = True
        return bearer(tokens.create_for_user("root", scope="admin"))


@pytest.fixture
def member(app: Flask) -> Headers:
    """Somebody else, in a team of the owner's."""
    with app.app_context():
        team = teams.created("studio", users.named("owner"))
        teams.put(team.id, users.made("ann"), Role.MEMBER)
        return bearer(tokens.create_for_user("ann", team))


@pytest.fixture
def in_the_studio(app: Flask, member: Headers) -> Headers:
    """The owner, in that team."""
    with app.app_context():
        return bearer(tokens.create_for_user("owner", teams.named("studio")))


def test_everybody_sees_his_limits_and_what_of_them_he_uses(app: Flask, client: Client, owner: Headers) -> None:
    submit(client, owner)
    found = client.get(LIMITS, headers=owner).json
    assert {(it["of"], it["who"]) for it in found} == {("user", "owner"), ("team", "owner"), ("installation", None)}
    assert [it["name"] for it in found if it["of"] == "user"] == [*KINDS]
    its = shown(client, owner, "jobs_queued")
    assert (its["value"], its["used"], its["is_usual"]) == (KINDS["jobs_queued"].user, 1, True)
    assert shown(client, owner, "body_bytes", "installation")["value"] == parts(app).config.max_body_bytes


def test_an_operator_sets_one_over_rest_and_takes_it_back(client: Client, owner: Headers, operator: Headers) -> None:
    its = f"{LIMITS}/users/owner/jobs_queued"
    answer = client.put(its, json={"value": 0}, headers=operator)
    assert [it["value"] for it in answer.json if it["name"] == "jobs_queued"] == [None]
    assert (shown(client, owner, "jobs_queued")["value"], shown(client, owner, "jobs_queued")["is_usual"]) == (
        None,
        False,
    )
    client.delete(its, headers=operator)
    assert shown(client, owner, "jobs_queued")["is_usual"]
    client.put(f"{LIMITS}/teams/owner/sockets", json={"value": 3}, headers=operator)
    assert shown(client, owner, "sockets", "team")["value"] == 3


def test_an_operator_sees_those_of_others_and_nobody_else_does(
    client: Client, owner: Headers, stranger: Headers, operator: Headers
) -> None:
    answers = [client.get(f"{LIMITS}?user=owner", headers=who) for who in (owner, operator, stranger)]
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert client.get(f"{LIMITS}?team=owner", headers=stranger).status_code == 404


@pytest.mark.parametrize(("name", "value"), [("colour", 1), ("sockets", -1), ("sockets", "1"), ("sockets", None)])
def test_nonsense_is_no_limit(client: Client, operator: Headers, name: str, value: Any) -> None:
    assert client.put(f"{LIMITS}/users/root/{name}", json={"value": value}, headers=operator).status_code == 422


def test_it_is_set_on_the_command_line_too(app: Flask, client: Client, owner: Headers) -> None:
    def run(*words: str) -> str:
        result = app.test_cli_runner().invoke(args=["limits", *words])
        assert result.exit_code == 0, result.output
        return result.output

    run("set", "--user", "owner", "jobs_queued", "7")
    assert "jobs_queued: 7, 0 used" in run("list", "--user", "owner")
    assert shown(client, owner, "jobs_queued")["value"] == 7
    run("reset", "--user", "owner", "jobs_queued")
    assert shown(client, owner, "jobs_queued")["is_usual"]
    assert f"jobs_queued: user {KINDS['jobs_queued'].user}" in run("list")


def test_who_set_it_is_in_the_audit(app: Flask, client: Client, operator: Headers) -> None:
    client.put(f"{LIMITS}/users/owner/sockets", json={"value": 3}, headers=operator)
    assert rows(app, "SELECT object, actor FROM audit WHERE action = 'limit.set'") == [("owner sockets", "root")]


def test_the_operators_settings_say_what_is_usual() -> None:
    its = limits.Limits("jobs_queued=5, sockets=0", "steps=9")
    assert (its.users["jobs_queued"], its.users["sockets"], its.teams["steps"]) == (5, 0, 9)
    assert its.users["num_envs"] == KINDS["num_envs"].user
    with pytest.raises(BadConfiguration, match="LIMITS_OF_USERS: there is no limit 'colour'"):
        limits.Limits("colour=5")


def test_of_fifty_submits_at_once_no_more_are_taken_than_may_wait(app: Flask, client: Client, owner: Headers) -> None:
    limit(app, "jobs_queued", 20)
    together, answers = threading.Barrier(50), list[Any]()

    def ask(_: int) -> None:
        together.wait(30)
        while (answer := submit(app.test_client(), owner)).status_code == 503:
            pass  # no connection to PostgreSQL was free in time
        answers.append(answer)

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(ask, range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 20 + [429] * 30
    late = next(answer for answer in answers if answer.status_code == 429)
    assert refused(late, "User 'owner' has 20 jobs that wait", "limit 'jobs_queued'")
    assert late.headers["Retry-After"] == "30"
    client.post(f"{URL}/{client.get(URL, headers=owner).json[0]['run_id']}/cancel", headers=owner)
    assert submit(client, owner).status_code == 200


def test_a_teams_jobs_are_counted_together(
    app: Flask, client: Client, owner: Headers, member: Headers, in_the_studio: Headers
) -> None:
    limit(app, "jobs_queued", 2, team="studio")
    assert [submit(client, who).status_code for who in (member, in_the_studio, member)] == [200, 200, 429]
    assert refused(submit(client, member), "Team 'studio' has 2 jobs")
    assert submit(client, owner).status_code == 200


def test_a_resumed_run_and_a_rerun_wait_like_others(
    app: Flask, client: Client, owner: Headers, played: PlayedNode
) -> None:
    run_id = submit(client, owner).json["run_id"]
    played.train(run_id)
    submit(client, owner)
    limit(app, "jobs_queued", 1)
    assert refused(submit(client, owner, run_id=run_id), "jobs that wait")
    assert refused(client.post(f"{URL}/{run_id}/rerun", headers=owner), "jobs that wait")


@pytest.mark.parametrize(
    ("name", "value", "changes"),
    [("steps", 49_999, {}), ("num_envs", 1, {"num_envs": 2}), ("priority", 3, {"priority": 4})],
)
def test_a_job_that_asks_for_too_much_is_refused(
    app: Flask, client: Client, owner: Headers, name: str, value: int, changes: dict[str, Any]
) -> None:
    assert submit(client, owner, **changes).status_code == 200
    limit(app, name, value)
    answer = submit(client, owner, **changes)
    assert answer.status_code == 403
    assert refused(answer, str(value), f"limit '{name}'")


def test_the_steps_of_a_day_are_counted(app: Flask, client: Client, owner: Headers) -> None:
    limit(app, "steps_per_day", 120_000)
    assert [submit(client, owner).status_code for _ in range(3)] == [200, 200, 403]
    assert shown(client, owner, "steps_per_day")["used"] == 100_000
    later(app)
    assert submit(client, owner).status_code == 200


def test_the_steps_of_a_day_count_also_where_a_job_goes_on_or_is_deleted(
    app: Flask, client: Client, owner: Headers, played: PlayedNode
) -> None:
    run_id = submit(client, owner).json["run_id"]
    played.train(run_id)
    later(app)
    limit(app, "steps_per_day", 60_000)
    limit(app, "steps_per_day", 60_000, team="owner")
    assert submit(client, owner, run_id=run_id).status_code == 200
    assert refused(submit(client, owner), "50000 steps within 24 hours")
    client.delete(f"{URL}/{run_id}", headers=owner)
    change(app, "DELETE FROM jobs")
    assert refused(submit(client, owner), "50000 steps within 24 hours")


def later(app: Flask) -> None:
    """All that the audit tells of was more than a day ago."""
    change(app, "ALTER TABLE audit DISABLE TRIGGER USER")
    change(app, "UPDATE audit SET at = at - interval '25 hours'")
    change(app, "ALTER TABLE audit ENABLE TRIGGER USER")


def test_who_has_stored_enough_uploads_and_submits_nothing_more(
    app: Flask, client: Client, owner: Headers, played: PlayedNode
) -> None:
    run_id = submit(client, owner).json["run_id"]
    played.train(run_id)
    change(app, "UPDATE artifacts SET size = 6 * 1024 * 1024")
    parts(app).meters.stored.forget()  # a few seconds have passed
    limit(app, "storage_mb", 12)
    assert refused(submit(client, owner), "12 MB of files and builds", "limit 'storage_mb'")
    limit(app, "storage_mb", 13)
    assert submit(client, owner).status_code == 200
    upload = {"env_id": "maze", "version": "1", "size": 2 * 1024 * 1024, "sha256": "0" * 64}
    assert refused(client.post(ENVIRONMENTS, json=upload, headers=owner), "12 MB", "2 more")
    assert client.post(ENVIRONMENTS, json=upload | {"size": 1024}, headers=owner).status_code == 200
    assert shown(client, owner, "storage_mb")["used"] == 13


def test_names_and_versions_of_environments_are_counted(app: Flask, client: Client, owner: Headers) -> None:
    def announce(env_id: str, version: str) -> Any:
        its = {"env_id": env_id, "version": version, "size": 5, "sha256": "0" * 64}
        return client.post(ENVIRONMENTS, json=its, headers=owner)

    limit(app, "environments", 1)
    limit(app, "versions", 2)
    assert announce("maze", "1").status_code == 200
    assert refused(announce("hall", "1"), "limit 'environments'")
    assert announce("maze", "2").status_code == 200
    assert refused(announce("maze", "3"), "limit 'versions'")


def test_of_ten_uploads_at_once_no_more_are_taken_than_there_is_room_for(app: Flask, owner: Headers) -> None:
    limit(app, "versions", 3)
    its = [{"env_id": f"maze-{n}", "version": "1", "size": 5, "sha256": "0" * 64} for n in range(10)]
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda one: app.test_client().post(ENVIRONMENTS, json=one, headers=owner), its))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [403] * 7


def test_who_may_use_which_priority(
    client: Client, owner: Headers, member: Headers, in_the_studio: Headers, operator: Headers
) -> None:
    """5 is everybody's, 8 an owner's where others are in the team, 10 an operator's."""
    highest = {5: (owner, member), 8: (in_the_studio,), 10: (operator,)}
    for most, whose in highest.items():
        for who in whose:
            answers = [submit(client, who, priority=priority) for priority in (1, most, most + 1)]
            assert [answer.status_code for answer in answers] == [200, 200, 422 if most == 10 else 403]
            assert [answer.json["priority"] for answer in answers[:2]] == [1, most]
    assert submit(client, owner).json["priority"] == 5
    assert [submit(client, owner, priority=it).status_code for it in (0, 11, "5", 1.5)] == [422] * 4


def test_a_job_beyond_those_that_may_be_at_work_waits_and_says_so(
    app: Flask, client: Client, owner: Headers, played: PlayedNode
) -> None:
    played.post("/hello", {"slots": 4})
    first, second = (submit(client, owner).json["run_id"] for _ in range(2))
    played.claim(first)
    limit(app, "jobs_active", 1)

    def why() -> Any:
        with app.app_context():
            waiting.explain()
        return client.get(f"{URL}/{second}", headers=owner).json["waiting_for"]

    assert why() == "Its user has as many jobs at work as he may have (limit 'jobs_active')."
    limit(app, "jobs_active", None)
    limit(app, "jobs_active", 1, team="owner")
    assert why() == "Its team has as many jobs at work as it may have (limit 'jobs_active')."
    limit(app, "jobs_active", 2, team="owner")
    assert why() is None


def test_who_asks_too_often_is_told_when_to_come_again(app: Flask, client: Client, owner: Headers) -> None:
    limit(app, "requests_per_minute", 12)
    codes = [client.get("/api/v1/me", headers=owner).status_code for _ in range(4)]
    assert codes == [200, 200, 429, 429]
    answer = client.get("/api/v1/me", headers=owner)
    assert (answer.json["code"], answer.headers["Retry-After"]) == ("too_many_requests", "5")
    assert client.get("/livez").status_code == 200


def test_the_members_of_a_team_share_its_requests(
    app: Flask, client: Client, owner: Headers, member: Headers, in_the_studio: Headers
) -> None:
    limit(app, "requests_per_minute", 12, team="studio")
    codes = [client.get("/api/v1/me", headers=who).status_code for who in (member, in_the_studio, member, owner)]
    assert codes == [200, 200, 429, 200]


def test_nodes_are_not_limited(app: Flask, played: PlayedNode, client: Client, owner: Headers) -> None:
    limit(app, "requests_per_minute", 6)
    assert {played.post("/hello", {"slots": 1}).status_code for _ in range(20)} == {200}


def test_who_guesses_tokens_has_to_wait_and_those_with_good_ones_do_not(
    app: Flask, client: Client, owner: Headers
) -> None:
    assert client.get("/api/v1/me", headers=owner).status_code == 200
    guesses = [client.get("/api/v1/me", headers=bearer(f"tj_guess{n}")) for n in range(8)]
    assert [answer.status_code for answer in guesses] == [401] * 5 + [429] * 3
    assert int(guesses[-1].headers["Retry-After"]) in range(1, 13)
    assert client.get("/api/v1/me", headers=owner).status_code == 200


@pytest.mark.parametrize(
    ("addresses", "last"),
    [("2001:db8:1:2::{:x}", 429), ("2001:db8:1:{:x}::1", 401), ("192.0.2.{}", 401), ("::ffff:192.0.2.{}", 401)],
    ids=["of one network of IPv6", "of many networks of IPv6", "of IPv4", "of IPv4 as IPv6"],
)
def test_whoever_has_a_network_of_addresses_is_one_guesser(app: Flask, addresses: str, last: int) -> None:
    its = [{"REMOTE_ADDR": addresses.format(n)} for n in range(1, 8)]
    answers = [app.test_client().get("/api/v1/me", headers=bearer("tj_guess"), environ_base=it) for it in its]
    assert [answer.status_code for answer in answers][-1] == last


def test_a_job_goes_on_with_no_more_priority_than_its_user_still_has(
    app: Flask, client: Client, in_the_studio: Headers, played: PlayedNode
) -> None:
    run_id = submit(client, in_the_studio, priority=8).json["run_id"]
    played.train(run_id)
    limit(app, "owners_priority", 6)
    assert submit(client, in_the_studio, run_id=run_id).json["priority"] == 6


def test_who_guesses_tickets_guesses_tokens(app: Flask) -> None:
    its = {"REMOTE_ADDR": "192.0.2.99"}
    hello = Hello(run_id=UUID(int=1), ticket="tt_guess")
    with app.test_request_context(environ_base=its):
        for _ in range(5):
            with pytest.raises(NotAuthenticated):
                admission.admit(hello, parts(app).config)
        with pytest.raises(TooManyRequests):
            admission.admit(hello, parts(app).config)


def test_who_asks_from_too_many_places_at_once_waits_his_turn_and_is_then_refused(
    app: Flask, client: Client, owner: Headers, stranger: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "TURN_SECONDS", 0.1)
    limit(app, "requests_at_once", 2)
    with app.app_context():
        owner_id = users.named("owner").id
    gate = parts(app).meters.at_once
    with gate.turn(owner_id, 2, 0):
        assert client.get("/api/v1/me", headers=owner).status_code == 200
        with gate.turn(owner_id, 2, 0):
            answer = client.get("/api/v1/me", headers=owner)
            assert (answer.status_code, answer.json["code"]) == (429, "too_many_requests")
            assert answer.headers["Retry-After"] == "1"
            assert answer.json["detail"].startswith("User 'owner' may have 2 requests at work at the same time")
            assert client.get("/api/v1/me", headers=stranger).status_code == 200
    for path in ("/api/v1/me", f"{URL}/none", f"{URL}/{UUID(int=1)}", f"{LIMITS}?user=stranger"):  # all end their turn
        for _ in range(3):
            assert client.get(path, headers=owner).status_code != 429


def test_nobody_is_sent_more_than_two_exports_at_once(
    app: Flask, client: Client, owner: Headers, stranger: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "TURN_SECONDS", 0.1)
    path = "/api/v1/audit?format=ndjson"
    with app.app_context():
        key = ("export", users.named("owner").id)
    gate = parts(app).meters.at_once
    with gate.turn(key, 2, 0):
        for _ in range(3):  # each ends its turn
            assert client.get(path, headers=owner).status_code == 200
        with gate.turn(key, 2, 0):
            third = client.get(path, headers=owner)
            assert (third.status_code, third.json["code"]) == (429, "too_many_requests")
            assert [client.get(path, headers=stranger).status_code, client.head(path, headers=owner).status_code] == [
                200, 200]  # fmt: skip
