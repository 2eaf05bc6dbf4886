"""How long a wrong token's refusal takes, measured: the same for one that begins like a good one."""

import time
from statistics import median

from flask.testing import FlaskClient

from tests.conftest import Template
from tests.jobs import URL, bearer

ROUNDS = 500


def test_a_token_that_begins_rightly_is_refused_no_later(shared_client: FlaskClient, template: Template) -> None:
    """Samples in turns, so that what else the machine does falls upon all alike."""
    good = template.owner
    guesses = {"nothing of it": "x" * len(good), "half of it": good[:23] + "x" * (len(good) - 23),
               "all but the last character": good[:-1] + ("x" if good[-1] != "x" else "y")}  # fmt: skip
    seconds: dict[str, list[float]] = {what: [] for what in guesses}
    for _ in range(ROUNDS):
        for what, guess in guesses.items():
            began = time.perf_counter()
            assert shared_client.get(URL, headers=bearer(guess)).status_code == 401
            seconds[what].append(time.perf_counter() - began)
    medians = {what: median(its) for what, its in seconds.items()}
    assert max(medians.values()) < 1.2 * min(medians.values()), medians
