"""The document of the REST API: valid, complete, and served with its page. Each test's traffic is held against it."""

import html.parser
import json
import re
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from coordinator.api import openapi
from coordinator.api.auth import need_of
from coordinator.api.described import description_of
from coordinator.api.forms.nodes import Spec
from coordinator.api.openapi_words import PATH
from tests import traffic
from tests.jobs import URL, Client, bearer, body
from tests.traffic import Exchange
from wire.jobs import JobSpec

HOW = "Say with @tells(...) (coordinator/api/described.py), below its @needs, what it answers and takes: "
Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(bare: Flask) -> Document:
    return openapi.document(bare)


def test_every_route_is_described(bare: Flask) -> None:
    rules = [rule for rule in bare.url_map.iter_rules() if not rule.websocket]
    silent = sorted({str(it) for it in rules if description_of(bare.view_functions[it.endpoint]) is None})
    assert not silent, HOW + ", ".join(silent)
    closed = [str(it) for it in rules if need_of(bare.view_functions[it.endpoint]) is None]
    assert not closed
    unknown = {name for rule in rules for name in rule.arguments} - {*PATH}
    assert not unknown, f"Say in PATH of coordinator/api/openapi_words.py what these are: {unknown}"


def test_the_document_is_valid_openapi(document: Document) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_operation_says_what_it_is_and_whom_it_is_for(document: Document) -> None:
    operations = [its for path in document["paths"].values() for its in path.values()]
    assert len({its["operationId"] for its in operations}) == len(operations)
    assert {tag for its in operations for tag in its["tags"]} == {tag["name"] for tag in document["tags"]}
    for its in operations:
        assert its["summary"]
        assert all(parameter["description"] for parameter in its["parameters"]), its["operationId"]
        assert ("401" in its["responses"]) == bool(its["security"])


def test_what_is_new_in_a_jobs_answer_is_told_field_by_field(document: Document) -> None:
    forms = document["components"]["schemas"]
    inherited = forms["TrainJobInFull"]["properties"]
    assert {name: its.get("description") for name, its in forms["TrainJob"]["properties"].items()}.items() <= {
        name: its.get("description") for name, its in inherited.items()
    }.items()
    assert inherited["waiting_for"]["description"] == "Why no node takes it at the moment, in a sentence."


def test_a_specification_has_the_fields_that_nodes_are_sent() -> None:
    assert {*Spec.__annotations__} == {*JobSpec.__dataclass_fields__}


def test_the_document_is_served_to_anybody_and_only_once(shared_client: Client, document: Document) -> None:
    answer = shared_client.get("/api/v1/openapi.json")
    assert answer.json == json.loads(json.dumps(document))
    again = shared_client.get("/api/v1/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_document_can_be_printed(bare: Flask, document: Document) -> None:
    printed = bare.test_cli_runner().invoke(args=["openapi"])
    assert json.loads(printed.output) == json.loads(json.dumps(document))


class Page(html.parser.HTMLParser):
    """What a page loads, and what in it would be executed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        its = dict(attrs)
        self.loads += [its[name] for name in ("src", "href") if name in its]
        if (tag == "script" and "src" not in its) or tag == "style" or any(name.startswith("on") for name in its):
            self.inline.append(tag)


def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_of_its_own(shared_client: Client) -> None:
    answer = shared_client.get("/api/docs")
    page = Page(answer.text)
    assert page.inline == []
    assert len(page.loads) == 3
    for address in page.loads:
        assert address.startswith("/api/docs/")
        assert shared_client.get(address).status_code == 200, address
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:", policy)
    assert shared_client.get("/api/docs/../secrets").status_code == 404


@pytest.mark.parametrize(("change", "words"), [
    ({"status": 418}, "this status is not in the document"),
    ({"content": b"{}"}, '"run_id" is a required property'),
    ({"content": None, "headers": {"Content-Type": "text/html"}}, "its content is text/html"),
])  # fmt: skip
def test_traffic_that_is_not_as_the_document_says_is_found(change: dict[str, Any], words: str) -> None:
    good = {"method": "POST", "url": URL, "sent": None, "status": 200, "content": b"{}",
            "headers": {"Content-Type": "application/json"}}  # fmt: skip
    traffic.saw(Exchange(**good | change))
    found, traffic.violations[:] = list(traffic.violations), []
    assert any(words in it for it in found), found


def test_a_field_that_is_not_told_of_is_found(client: Client, owner: dict[str, str]) -> None:
    answer = client.post(URL, json=body(), headers=owner)
    more = json.dumps(answer.json | {"secret": 1}).encode()
    traffic.saw(Exchange("POST", URL, None, 200, answer.headers, more))
    found, traffic.violations[:] = list(traffic.violations), []
    assert len(found) == 1
    assert "secret" in found[0]


def test_errors_have_the_same_form_at_every_address(shared_client: Client) -> None:
    for path in (URL, "/api/v1/nothing", "/nothing"):
        answer = shared_client.put(path, headers=bearer("wrong"))
        assert {*(answer.json or {})} == {"detail", "code"}
