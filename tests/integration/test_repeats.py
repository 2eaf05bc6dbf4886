"""The same request many times at once, or again after its answer was lost, at a real web process."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from services.platform import Platform, wait_until
from tests.jobs import URL, body

AT_ONCE = 50


@pytest.fixture
def headers(platform: Platform) -> dict[str, str]:
    """With a key of the test's own."""
    return {"Authorization": f"Bearer {platform.token}", "Idempotency-Key": str(uuid4())}


@pytest.fixture
def runs(platform: Platform, headers: dict[str, str]) -> Iterator[Any]:
    """Asks for the ids of the jobs that have come since; they are deleted at the end, since nodes follow."""
    its = {"Authorization": headers["Authorization"]}

    def all_of_them() -> set[str]:
        return {job["run_id"] for job in requests.get(platform.url + URL, headers=its, timeout=30).json()}

    before = all_of_them()
    yield lambda: all_of_them() - before
    for run_id in all_of_them() - before:
        requests.delete(f"{platform.url}{URL}/{run_id}", headers=its, timeout=30)


def test_fifty_at_once_make_one_job(platform: Platform, headers: dict[str, str], runs: Any) -> None:
    def post(_: int) -> Any:
        return requests.post(platform.url + URL, json=body(), headers=headers, timeout=30)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(post, range(AT_ONCE)))
    assert [answer.status_code for answer in answers] == [200] * AT_ONCE
    assert {answer.json()["run_id"] for answer in answers} == runs()
    assert len(runs()) == 1


def test_of_fifty_at_once_that_ask_for_different_things_one_wins(
    platform: Platform, headers: dict[str, str], runs: Any
) -> None:
    def post(seed: int) -> Any:
        return requests.post(platform.url + URL, json=body(seed=seed), headers=headers, timeout=30)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(post, range(AT_ONCE)))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * (AT_ONCE - 1)
    assert len(runs()) == 1


def test_a_request_whose_answer_was_lost_is_repeated_without_harm(
    platform: Platform, headers: dict[str, str], runs: Any
) -> None:
    content, address = json.dumps(body()).encode(), urlsplit(platform.url)
    lines = [f"POST {URL} HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        wait_until(runs, 30, "the job whose answer nobody reads")
    answer = requests.post(platform.url + URL, json=body(), headers=headers, timeout=30)
    assert (answer.status_code, {answer.json()["run_id"]}) == (200, runs())
