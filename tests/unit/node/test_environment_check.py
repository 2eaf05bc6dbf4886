"""What a build shows is held against what its manifest says."""

from typing import Any

import pytest

from node.environment_check import mismatch

WALKER = {"observation_shapes": [[3], [84, 84, 3]], "actions": {"continuous": 2, "discrete": [3, 2]}}


def manifest(**behaviours: Any) -> dict[str, Any]:
    return {"behaviours": behaviours}


@pytest.mark.parametrize(
    "promised",
    [
        WALKER,
        {},
        {"observation_shapes": None, "actions": None},
        {"observation_shapes": WALKER["observation_shapes"]},
        {"actions": WALKER["actions"]},
    ],
)
def test_a_build_that_keeps_its_promises_passes(promised: dict[str, Any]) -> None:
    assert mismatch(manifest(Walker=promised), {"Walker": WALKER}) is None


def test_actions_that_are_not_named_are_none() -> None:
    found = {"Walker": {"observation_shapes": [], "actions": {"continuous": 0, "discrete": [3]}}}
    assert mismatch(manifest(Walker={"actions": {"discrete": [3]}}), found) is None


@pytest.mark.parametrize(
    ("promised", "sentence"),
    [
        (manifest(Runner={}), 'The environment shows no agent of the behaviour "Runner" (it shows: Walker).'),
        (manifest(Walker={"observation_shapes": [[3]]}),
         'The manifest gives "Walker" the observations [[3]], the environment shows [[3], [84, 84, 3]].'),
        (manifest(Walker={"actions": {"continuous": 1}}),
         'The manifest gives "Walker" the actions {"continuous": 1}, the environment shows '
         '{"continuous": 2, "discrete": [3, 2]}.'),
        (manifest(), 'The environment shows a behaviour "Walker" that its manifest does not have.'),
    ],
)  # fmt: skip
def test_what_does_not_match_is_said(promised: dict[str, Any], sentence: str) -> None:
    assert mismatch(promised, {"Walker": WALKER}) == sentence


def test_a_build_that_shows_nothing_is_refused() -> None:
    assert mismatch(manifest(Walker={}), {}) == (
        'The environment shows no agent of the behaviour "Walker" (it shows: none).'
    )


def test_behaviours_that_are_trained_beside_need_no_promise() -> None:
    configuration = {"behaviors": {"Walker": {}, "Runner": {}}}
    assert mismatch(manifest(Runner={"configuration": configuration}), {"Walker": WALKER, "Runner": WALKER}) is None
