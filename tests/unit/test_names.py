"""Names spelled alike on both sides."""

from uuid import UUID

import pytest

from wire.names import artifact_key, attempt_of, staging_key, task_id, train_queue

RUN = UUID("6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a")


def final_key(run_id: UUID | str, attempt: int, kind: str) -> str:
    return artifact_key(run_id, attempt, kind, "ab" * 32)


def test_an_attempt_is_found_again_in_the_id_of_its_task() -> None:
    assert attempt_of(task_id(RUN, 12)) == (RUN, 12)


def test_every_copy_of_an_attempts_message_has_the_same_id() -> None:
    assert task_id(RUN, 3) == task_id(str(RUN), 3) == f"{RUN}.3"


@pytest.mark.parametrize("task", ["", "nonsense", str(RUN), f"{RUN}.", f"{RUN}.x", f"{RUN}x.1", ".1"])
def test_a_strangers_task_id_is_a_value_error(task: str) -> None:
    with pytest.raises(ValueError, match=r"UUID|int"):
        attempt_of(task)


def test_no_two_attempts_or_kinds_share_a_place_in_storage() -> None:
    places = [place(RUN, attempt, kind) for place in (staging_key, final_key)
              for attempt in (1, 2, 11) for kind in ("model.onnx", "checkpoint.pt")]  # fmt: skip
    assert len(set(places)) == 12
    assert not [one for one in places for other in places if one != other and other.startswith(one)]


def test_jobs_that_ask_for_the_same_share_a_queue() -> None:
    assert train_queue({}) == "train"
    assert train_queue({"gpu": True, "labels": ["a"]}) == train_queue({"labels": ["a"], "gpu": True}) != "train"
    assert train_queue({"gpu": True}) != train_queue({"memory_mb": 1})


def test_a_files_final_place_names_its_content() -> None:
    assert artifact_key(RUN, 1, "model.onnx", "ab" * 32) == f"artifacts/{RUN}/1/{'ab' * 32}/model.onnx"
