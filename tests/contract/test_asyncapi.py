"""The document of messages: valid, complete, served; and the examples of both sides are as it says."""

import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask

from coordinator.api import asyncapi, framing
from coordinator.outcome_consumer import CHECKS
from tests import traffic
from tests.contract.test_examples import example
from tests.jobs import Client
from wire.facts import Artifact, Outcome
from wire.names import TASK_TRAIN

Document = dict[str, Any]
EXAMPLES = {
    "hello": "hello", "hello_again": "hello", "metrics": "METRICS", "status": "STATUS", "status_failed": "STATUS",
    "error": "ERROR", "training_facts": "training-facts",
}  # fmt: skip


@pytest.fixture(scope="module")
def document(bare: Flask) -> Document:
    return asyncapi.document(bare)


def test_the_document_is_valid_asyncapi(document: Document) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from asyncapi3.models.asyncapi import AsyncAPI3

    AsyncAPI3.model_validate(document)


def test_whatever_it_refers_to_is_there(document: Document) -> None:
    found = [*references(document)]
    assert len(found) > 50
    for reference in found:
        value: Any = document
        for part in reference.removeprefix("#/").split("/"):
            value = value[part]
        assert value


def references(value: Any) -> Iterator[str]:
    for key, its in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key == "$ref":
            yield its
        yield from references(its)


def test_every_schema_in_it_is_json_schema(document: Document) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_every_task_that_a_queue_takes_is_in_it_and_no_other(document: Document) -> None:
    told = {its["name"] for its in document["components"]["messages"].values() if "." in its["name"]}
    assert told == {*CHECKS, TASK_TRAIN}, "Say in coordinator/api/asyncapi_channels.py what each Celery task carries."


def test_every_message_of_the_protocol_is_in_it(document: Document) -> None:
    numbers = {its["properties"]["msg_id"].get("const") for its in document["components"]["schemas"].values()
               if "msg_id" in its.get("properties", {})}  # fmt: skip
    assert numbers == {0, 2, 10, 11, 12, 13, "3", None}, "msg_id 1 and 4 are a build's own: State."


def test_every_close_code_of_the_socket_is_in_it(document: Document) -> None:
    told = {int(code) for code in document["channels"]["client-stream"]["x-close-codes"]}
    assert {framing.NORMAL, framing.POLICY, framing.GOING_AWAY, framing.TRY_AGAIN} <= told


@pytest.mark.parametrize(("name", "message"), EXAMPLES.items())
def test_the_examples_are_as_it_says(name: str, message: str) -> None:
    assert traffic.errors_of_message(message, example(name)) == []


@pytest.mark.parametrize("name", ["outcome", "outcome_failed"])
def test_an_outcome_is_as_it_says(name: str) -> None:
    assert traffic.errors_of_message("coord-outcome", [[example(name)], {}, {}]) == []


def test_an_outcome_that_no_node_sends_is_not_as_it_says() -> None:
    wrong = example("outcome") | {"status": "fine"}
    assert len(traffic.errors_of_message("coord-outcome", [[wrong], {}, {}])) == 1


def test_the_document_has_the_fields_of_an_outcome_and_its_files(document: Document) -> None:
    forms = document["components"]["schemas"]
    assert {*forms["Outcome"]["properties"]} == {*example("outcome")} == {*Outcome.__dataclass_fields__}
    assert {*forms["Artifact"]["properties"]} == {*Artifact.__dataclass_fields__}
    assert re.search("cancelled", forms["Outcome"]["properties"]["cause"]["description"])


def test_it_is_served_to_anybody_and_can_be_printed(shared_client: Client, bare: Flask, document: Document) -> None:
    as_sent = json.loads(json.dumps(document))
    assert shared_client.get("/api/v1/asyncapi.json").json == as_sent
    assert json.loads(bare.test_cli_runner().invoke(args=["asyncapi"]).output) == as_sent
