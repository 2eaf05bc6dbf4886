"""A node whose token is not taken (any more): nothing that it has is given up, and its tasks are not thrown away."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from node.central import Central, NotLetIn
from node.config import Config
from node.handed import Handed
from node.parcel import Parcel
from node.trainers.base import Artifact as Found
from services.platform import Platform
from tests.integration.live import new_run
from wire.facts import Outcome
from wire.names import task_id

WRONG = "tj_of_nobody"


def test_a_claim_with_a_wrong_token_is_one_to_be_repeated(platform: Platform) -> None:
    """A node that dropped the task instead would take the next one, and so empty the whole queue."""
    with pytest.raises(NotLetIn, match="refuses this node"):
        Central(platform.url, WRONG).claim(new_run(platform), 1, uuid4())


def test_what_was_handed_in_stays_on_the_node_until_its_token_is_good_again(platform: Platform, tmp_path: Path) -> None:
    run_id = new_run(platform)
    parts = {"broker_url": platform.node_broker_url, "coordinator_url": platform.url, "node_data_dir": str(tmp_path)}
    config = Config(**parts, node_token=WRONG)
    parcel = Parcel(config.handed_dir / task_id(run_id, 1))
    parcel.files.parent.mkdir(parents=True)
    model = tmp_path / "model.onnx"
    model.write_bytes(b"a model")
    parcel.pack(Outcome(UUID(run_id), 1, "succeeded", 0), [Found("model", model)])
    with pytest.raises(NotLetIn):
        Handed(config).look()
    assert parcel.path("model.onnx").read_bytes() == b"a model"
    Handed(Config(**parts, node_token=platform.node_token)).look()  # of this attempt it has never heard
    assert not parcel.folder.exists()
