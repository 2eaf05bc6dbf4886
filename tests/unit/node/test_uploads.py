"""What an attempt yields on its way to S3: the newest checkpoint, pieces of a recording, bounded logs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from node import pending
from node.central import Away, Refused
from node.excerpt import bounded
from node.hand_over import hand_over, left_by_a_killed_node
from node.lease import Stop
from node.parcel import Parcel
from node.patience import Patience
from node.trainers.base import Artifact as Found
from node.transfer import Terms
from node.uploads import Uploads
from services.platform import wait_until
from wire.facts import Outcome
from wire.uploads import Upload

RUN_ID = str(uuid4())


class Staging:
    """The coordinator and S3 as a node sees them: takes files, unless it is away or refuses some."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.is_away, self.refused = threading.Event(), ""
        self.tries = 0

    def upload(self, run_id: str, attempt: int, name: str, path: Path, terms: Terms) -> None:
        self.tries += 1
        if self.is_away.is_set():
            raise Away("S3 does not answer")
        if name == self.refused:
            raise Refused("Attempt 1 is not yours (any more).")
        self.files[name] = path.read_bytes()


@pytest.fixture
def staging() -> Staging:
    return Staging()


@pytest.fixture
def told() -> list[Upload]:
    return []


@pytest.fixture
def start(staging: Any, told: list[Upload], tmp_path: Path) -> Iterator[Callable[[], Uploads]]:
    """Starts the uploads of an attempt in a folder; they are closed at the end."""
    started: list[Uploads] = []

    def begin(tell: Callable[[Upload], None] = told.append) -> Uploads:
        started.append(Uploads(staging, RUN_ID, 1, tmp_path, tell))
        return started[-1]

    yield begin
    staging.is_away.clear()
    for one in started:
        one.close()


def checkpoint(folder: Path, step: int) -> Path:
    path = folder / f"trainers-own-{step}.pt"
    path.write_bytes(b"weights %d" % step)
    return path


def piece(folder: Path, name: str) -> None:
    (folder / "recording").mkdir(exist_ok=True)
    (folder / "recording" / f"{name}.json-seq").write_bytes(b"\x1e{}\n")
    (folder / "recording" / f"{name}.json").write_text('{"episodes":[{"number":1}]}')


def test_a_checkpoint_is_uploaded_and_told_though_the_trainer_removes_it(
    start: Callable[[], Uploads], staging: Staging, told: list[Upload], tmp_path: Path
) -> None:
    its = start()
    path = checkpoint(tmp_path, 500)
    its.checkpoint(path, 500)
    path.unlink()
    wait_until(lambda: told, 30, "the checkpoint to be told")
    assert staging.files == {"checkpoint-500.pt": b"weights 500"}
    assert (told[0].artifact.name, told[0].artifact.step, told[0].artifact.kind) == (
        "checkpoint-500.pt", 500, "checkpoint",
    )  # fmt: skip
    wait_until(lambda: not list((tmp_path / "uploads").iterdir()), 30, "nothing to wait any more")


def test_while_s3_is_away_the_training_goes_on_and_only_the_newest_checkpoint_is_uploaded_later(
    start: Callable[[], Uploads], staging: Staging, told: list[Upload], tmp_path: Path
) -> None:
    staging.is_away.set()
    its = start()
    its.checkpoint(checkpoint(tmp_path, 500), 500)
    wait_until(lambda: staging.tries, 30, "a first try")
    for step in (1_000, 1_500):
        its.checkpoint(checkpoint(tmp_path, step), step)
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == ["checkpoint-1500.pt"]
    staging.is_away.clear()
    wait_until(lambda: told, 60, "the newest checkpoint to be told")
    assert list(staging.files) == ["checkpoint-1500.pt"]


def test_a_broker_that_is_away_is_told_later(start: Callable[..., Uploads], told: list[Upload], tmp_path: Path) -> None:
    calls: list[Upload] = []

    def tell(upload: Upload) -> None:
        calls.append(upload)
        if len(calls) == 1:
            raise OSError("no broker")
        told.append(upload)

    start(tell).checkpoint(checkpoint(tmp_path, 500), 500)
    wait_until(lambda: told, 60, "the checkpoint to be told")
    assert [call.artifact.step for call in calls] == [500, 500]


def test_finished_pieces_are_uploaded_and_removed(
    start: Callable[[], Uploads], staging: Staging, told: list[Upload], tmp_path: Path
) -> None:
    piece(tmp_path, "1")
    (tmp_path / "recording" / "2.json-seq").write_bytes(b"\x1e{")  # still growing
    start()
    wait_until(lambda: told, 30, "the piece to be told")
    assert staging.files == {"recording-1.json-seq": b"\x1e{}\n"}
    assert (told[0].artifact.kind, told[0].artifact.manifest) == ("recording", {"episodes": [{"number": 1}]})
    wait_until(lambda: len(list((tmp_path / "recording").iterdir())) == 1, 30, "the piece to be removed")


def test_at_the_end_all_that_is_left_is_uploaded_but_no_overtaken_checkpoint(
    start: Callable[[], Uploads], staging: Staging, told: list[Upload], tmp_path: Path
) -> None:
    staging.is_away.set()
    its = start()
    its.checkpoint(checkpoint(tmp_path, 500), 500)
    piece(tmp_path, "1")
    wait_until(lambda: staging.tries, 30, "a first try")
    its.close()
    staging.is_away.clear()
    its.finish(Stop(), 800, Patience(Stop(), 30))
    assert [upload.artifact.name for upload in told] == ["recording-1.json-seq"]


def test_what_is_left_by_a_node_that_was_killed_is_its_newest_checkpoint_and_the_log(tmp_path: Path) -> None:
    for step in (600, 700):
        pending.Checkpoints(tmp_path / "uploads").add(checkpoint(tmp_path, step), step)
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "trainer.log").write_text("The last words.")
    found = left_by_a_killed_node(tmp_path)
    assert [(its.kind, its.path.name) for its in found] == [("log", "trainer.log"), ("checkpoint", "checkpoint-700.pt")]


def test_a_file_that_is_not_wanted_is_not_offered_again(
    start: Callable[[], Uploads], staging: Staging, told: list[Upload], tmp_path: Path
) -> None:
    staging.refused = "checkpoint-500.pt"
    its = start()
    its.checkpoint(checkpoint(tmp_path, 500), 500)
    wait_until(lambda: staging.tries and not list((tmp_path / "uploads").iterdir()), 30, "it to be given up")
    its.checkpoint(checkpoint(tmp_path, 600), 600)
    wait_until(lambda: told, 30, "the next one")
    assert [upload.artifact.step for upload in told] == [600]


def test_a_checkpoint_that_is_not_there_harms_nobody(start: Callable[[], Uploads], tmp_path: Path) -> None:
    start().checkpoint(tmp_path / "missing.pt", 500)


@pytest.fixture
def found(tmp_path: Path) -> tuple[Found, ...]:
    """As a trainer collects it."""
    kinds = {"log": "trainer.log", "tensorboard": "events.out.tfevents.7", "model": "Reach1D.onnx"}
    for name in (*kinds.values(), "Player-1.log", "Reach1D-9.pt"):
        (tmp_path / name).write_text(name)
    files = [Found(kind, tmp_path / name) for kind, name in kinds.items()]
    files += [Found("environment_log", tmp_path / "Player-1.log", name="unity-1.log")]
    return (*files, Found("checkpoint", tmp_path / "Reach1D-9.pt", {"step": 9}))


@pytest.fixture
def hand_in(staging: Any, found: tuple[Found, ...], tmp_path: Path) -> Callable[..., Outcome]:
    """Packs and uploads what the trainer has left, and returns the outcome that is to be handed in."""

    def end(status: str = "succeeded", stop: Stop | None = None, patience: float = 0.5) -> Outcome:
        stop, parcel = stop or Stop(), Parcel(tmp_path / "attempt")
        achieved = parcel.pack(Outcome(UUID(RUN_ID), 1, status, 0), found)
        return hand_over(staging, parcel, achieved, stop, Patience(stop, patience), "lab-1")

    return end


def names(outcome: Outcome) -> list[str]:
    return [its.name for its in outcome.artifacts]


def test_everything_is_handed_over_under_its_usual_name(staging: Staging, hand_in: Callable[..., Outcome]) -> None:
    outcome = hand_in()
    assert names(outcome) == ["model.onnx", "checkpoint.pt", "trainer.log", "events.out.tfevents.7", "unity-1.log"]
    assert outcome.artifacts[1].step == 9
    assert outcome.kept
    assert staging.files["checkpoint.pt"] == b"Reach1D-9.pt"


def test_a_log_that_cannot_be_handed_over_costs_no_model(
    staging: Staging, found: tuple[Found, ...], hand_in: Callable[..., Outcome]
) -> None:
    staging.refused = "events.out.tfevents.7"
    found[0].path.unlink()
    outcome = hand_in()
    assert (outcome.status, names(outcome)) == ("succeeded", ["model.onnx", "checkpoint.pt", "unity-1.log"])


def test_a_fenced_attempt_hands_nothing_over(hand_in: Callable[..., Outcome], staging: Staging) -> None:
    staging.is_away.set()
    stop = Stop()
    stop.ask(Stop.FENCED)
    outcome = hand_in(stop=stop)
    assert (outcome.artifacts, outcome.kept, outcome.cause) == ((), False, None)


def test_a_model_that_is_refused_is_not_passed_over_in_silence(
    staging: Staging, hand_in: Callable[..., Outcome]
) -> None:
    staging.refused = "model.onnx"
    with pytest.raises(Refused):
        hand_in()


def test_a_training_whose_model_cannot_be_stored_has_failed_for_that_reason_and_its_files_are_described(
    staging: Staging, hand_in: Callable[..., Outcome], tmp_path: Path
) -> None:
    staging.is_away.set()
    outcome = hand_in(patience=1.0)
    assert (outcome.status, outcome.cause, outcome.achieved) == ("failed", "storage", "succeeded")
    assert outcome.error == (
        "The training finished, but its model could not be stored within 1 s: S3 does not answer. "
        "Its files are kept on node lab-1."
    )
    assert names(outcome)[0] == "model.onnx"
    assert (Parcel(tmp_path / "attempt").path("model.onnx")).read_text() == "Reach1D.onnx"
    assert staging.tries > 1


def test_a_cancelled_training_does_not_wait_for_s3(staging: Staging, hand_in: Callable[..., Outcome]) -> None:
    staging.is_away.set()
    stop, began = Stop(), time.monotonic()
    threading.Timer(0.3, stop.ask, [Stop.CANCELLED]).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("node.patience.HURRIED_SECONDS", 0.0)
        outcome = hand_in(stop=stop, patience=600)
    assert time.monotonic() - began < 30
    assert (outcome.status, outcome.cause, outcome.achieved) == ("stopped", "storage", "succeeded")


def test_of_a_training_that_failed_by_itself_the_cause_stays_what_it_was(
    staging: Staging, hand_in: Callable[..., Outcome]
) -> None:
    staging.is_away.set()
    outcome = hand_in("failed")
    assert (outcome.status, outcome.cause, outcome.artifacts, outcome.kept) == ("failed", None, (), False)


@pytest.mark.parametrize("most", [400, 1_000, 5_000])
def test_a_long_log_keeps_its_begin_and_its_end_and_says_what_is_left_out(tmp_path: Path, most: int) -> None:
    lines = [b"line %04d\n" % number for number in range(1_000)]
    log = tmp_path / "trainer.log"
    log.write_bytes(b"".join(lines))
    short = bounded(log, most=most, head=most // 4).read_bytes()
    begin, note, end = short.partition(b"\n---- ")[0], short.split(b"----")[1], short.rpartition(b"----\n")[2]
    assert len(short) <= most
    assert begin.startswith(lines[0])
    assert end.endswith(lines[-1])
    assert all(line + b"\n" in lines for line in (begin + b"\n" + end).split(b"\n") if line)
    assert int(note.split()[0]) == log.stat().st_size - len(begin) - len(end)


def test_a_log_without_lines_is_bounded_too(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    log.write_bytes(b"x" * 10_000)
    assert len(bounded(log, most=1_000, head=300).read_bytes()) <= 1_000
    assert bounded(log, most=10_000) == log
