"""Every operation of the API's document is asked random things by everybody: each answer is one that it tells of."""

import copy
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests import traffic
from tests.fuzz.conftest import IS_DEEP, Target
from tests.jobs import URL, body
from tests.people import STUDIO

CALLERS = ("owner", "viewer", "operator", "node", "nobody", "garbage")
ABLE = {"node": ["node"], "user": ["owner", "operator"]}
"""Whom an operation lets in, by its security: most requests are theirs, for whoever stays outside finds nothing."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
          response_schema_conformance]  # fmt: skip
SETTINGS = hypothesis.settings(
    max_examples=150 if IS_DEEP else 4, deadline=None, suppress_health_check=list(hypothesis.HealthCheck),
    database=None, print_blob=True,
    phases=[hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if IS_DEEP else [])],
)  # fmt: skip
SCHEMA = schemathesis.openapi.from_dict(copy.deepcopy(traffic.document()))
OPERATIONS = {it.ok().label: it.ok() for it in SCHEMA.get_all_operations()}


@pytest.fixture
def there(target: Target) -> dict[str, Any]:
    """What there is, to be put into addresses: random ids lead to nothing. A new run, since some are deleted."""
    answer = requests.post(target.platform.url + URL, json=body(), headers=target.people.headers("owner"), timeout=30)
    return {
        "run_id": answer.json()["run_id"], "attempt": 1, "team": f"{STUDIO} admin", "user": "mate admin",
        "env_id": "reach1d", "version": "1.0.0", "name": "metrics_data.json", "asset": "page.js", "episode": 1,
        "limit": "owners_priority",
    }  # fmt: skip


def callers_of(operation: Any) -> st.SearchStrategy[str]:
    """Three in four may call it, so far as its document says."""
    able = [who for its in operation.definition.raw["security"] for kind in its for who in ABLE[kind]]
    return st.one_of([st.sampled_from(able)] * 3 + [st.sampled_from(CALLERS)]) if able else st.sampled_from(CALLERS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_document_tells_of(label: str, untroubled: Target, there: dict[str, Any]) -> None:
    operation = OPERATIONS[label]
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode])

    @SETTINGS
    @hypothesis.given(case=cases, caller=callers_of(operation), goes_deep=st.booleans())
    def ask(case: Any, caller: str, goes_deep: bool) -> None:
        if goes_deep:
            known = {name: value for name, value in there.items() if name in (case.path_parameters or {})}
            case.path_parameters = (case.path_parameters or {}) | known
        headers = untroubled.people.headers(caller)
        response = case.call(base_url=untroubled.platform.url, headers=headers, timeout=30)
        untroubled.tally.answered(label, response.status_code)
        case.validate_response(response, checks=CHECKS, headers=headers)

    try:
        ask()
    finally:
        untroubled.tally.finished(label, len(OPERATIONS))
