"""Nobody's many jobs keep another's first one waiting, over real programs, also when the broker loses everything."""

from collections.abc import Iterator

import pytest
import requests

from services.platform import wait_until
from tests.faults.farm import Farm, farm
from tests.faults.test_submits import assert_each_ran_once
from tests.jobs import URL, bearer
from tests.stub_trainings import stub_body

SLOTS, MANY = 4, 500
CLAIMED = "SELECT count(*) FROM attempts WHERE run_id = %s"
SINCE = """
SELECT count(*) FROM attempts
WHERE claimed_at > %s AND claimed_at <= (SELECT claimed_at FROM attempts WHERE run_id = %s)
"""


@pytest.fixture
def its(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with farm(tmp_path_factory.mktemp("farm"), {"lab-1": str(SLOTS)}, LIMITS_OF_USERS="priority=10") as made:
        yield made


def newcomer(its: Farm) -> dict[str, str]:
    """The headers of somebody new."""
    return bearer(its.platform.run("flask --app wsgi tokens create bob"))


def submit_as(its: Farm, who: dict[str, str]) -> str:
    answer = requests.post(its.platform.url + URL, json=stub_body(200), headers=who, timeout=60)
    return str(answer.json()["run_id"])


def test_a_first_job_is_among_the_next_two_that_start_before_five_hundred_others(its: Farm) -> None:
    bob = newcomer(its)
    its.submit(MANY, steps=2_000, priority=10)
    wait_until(lambda: its.count("state IN ('RETRIEVED', 'STARTING', 'RUNNING')") >= SLOTS, 60, "all slots to be taken")
    late = submit_as(its, bob)
    (now,) = its.rows("SELECT now()")
    wait_until(lambda: its.rows(CLAIMED, late) == [1], 120, "the other one's job to start")
    assert its.rows(SINCE, now, late)[0] <= 2
    assert its.count("state = 'SUBMITTED'") > MANY // 2


def test_all_run_once_though_the_broker_loses_its_data_in_the_middle(its: Farm) -> None:
    runs = its.submit(40, steps=500)
    wait_until(lambda: its.count("state = 'SUCCEEDED'") >= 5, 120, "some to have ended")
    its.lose_the_brokers_data()
    runs.append(submit_as(its, newcomer(its)))
    assert_each_ran_once(its, runs)
