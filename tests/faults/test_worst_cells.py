"""The nastiest cells of the fault matrix, each with the cause that an attempt ends with; what a training outlives."""

from collections.abc import Iterator

import psutil
import pytest

from services.platform import wait_until
from services.stack import Stack
from tests.acceptance.viewers import Viewer
from tests.faults import invariants, moments
from tests.faults.cells import Cell
from tests.faults.rig import LONG, STUB, Rig
from tests.faults.victims import FREEZE, KILL, find
from tests.own_services import own_stack

__all__ = ["own_stack"]  # a fixture
AROUND = (("S3", "web", "results", "recorder"), ("RabbitMQ",), ("PostgreSQL",))
"""A training: what is away at the same time, one group after another."""


pytestmark = pytest.mark.own_broker


@pytest.fixture(scope="module")
def rig(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(own_stack, tmp_path_factory.mktemp("rig"), STUB) as running:
        yield running


CELLS = {
    Cell("pool child", KILL, moments.TRAINING, STUB): "Its worker process died on node {node}.",
    Cell("pool child", FREEZE, moments.TRAINING, STUB): "Its node {node} was silent for 8 s.",
    Cell("node main", KILL, moments.TRAINING, STUB): "Its node {node} was restarted during the training.",
    Cell("node main", KILL, moments.OUTCOME, STUB): None,
    Cell("results", KILL, moments.ENDING, STUB): None,
    Cell("recorder", KILL, moments.OUTCOME, STUB): None,
    Cell("RabbitMQ", KILL, moments.OUTCOME, STUB): None,
    Cell("PostgreSQL", KILL, moments.ENDING, STUB): None,
    Cell("web", KILL, moments.BEFORE, STUB): None,
}
"""Each with the cause that the first attempt ends with, where that is not that it succeeded."""


@pytest.mark.parametrize(("cell", "cause"), [pytest.param(*its, id=its[0].id) for its in CELLS.items()])
def test_nothing_is_lost_hangs_or_runs_twice(rig: Rig, cell: Cell, cause: str | None) -> None:
    hit_one, *_ = cell.play(rig)
    query = "SELECT cause, name FROM attempts JOIN nodes ON nodes.id = node_id WHERE run_id = %s ORDER BY number"
    attempts = rig.query(query, hit_one.run_id)
    expected = ([cause.format(node=attempts[0][1])] if cause else []) + ["It succeeded."]
    assert [cause for cause, _ in attempts] == expected


def test_a_training_outlives_every_restart_around_it(rig: Rig) -> None:
    """Until it is cancelled, however long the restarts take."""
    game = rig.submit(steps=20 * LONG, checkpoint_interval=2_000)
    wait_until(lambda: game.frames and game.messages[-1]["msg_id"] == 13, 60, "a first checkpoint")
    trainer = psutil.Process(find(rig, "trainer", game.run_id).pids[0])
    for names in AROUND:
        _away(rig, game.run_id, names)
        seen = len(game.frames)
        wait_until(lambda last=seen: len(game.frames) > last, 60, f"news after an absence of {', '.join(names)}")
        assert trainer.is_running(), "It was not one and the same trainer process all the time."
    rig.ask("POST", f"train-jobs/{game.run_id}/cancel")
    invariants.wait_for_the_ends(rig, [game], 60)
    invariants.check(rig, {game: "CANCELLED"})
    assert rig.query("SELECT number FROM attempts WHERE run_id = %s", game.run_id) == [(1,)]
    steps = [message["step"] for message in game.messages if message["msg_id"] == 0]
    assert steps == [number * 2 * LONG for number in range(1, len(steps) + 1)]


def _away(rig: Rig, run_id: str, names: tuple[str, ...]) -> None:
    """All of them are killed, and then started."""
    for name in names:
        rig.process(name).kill()
    if "PostgreSQL" in names:
        refused = Viewer(rig.platform.socket_url, {"run_id": run_id}, rig.platform.token).finish()
        assert (refused.close_code, refused.messages[0]["msg_id"]) == (1013, 10)
    for name in names:
        rig.start(name)
