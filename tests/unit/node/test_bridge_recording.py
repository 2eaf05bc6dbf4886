"""Recording by its policy: pieces that hold the very bytes, bounds, several environments, a bridge that was killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.bridge import recording
from node.bridge.attempts import Attempt, announce, find
from node.bridge.recording import Recording, Track, recover
from node.bridge.words import read
from wire.jobs import JobSpec

BEGIN = '{"msg_id":4}'


def attempt(folder: Path, **policy: int) -> Attempt:
    """An attempt with that policy, announced as the node does it."""
    spec = JobSpec("run-1", 1, "1", "B", 1, 1, 1, "agent_config", recording=policy)
    announce(folder / "task", spec, "a mark", "http://central")
    found = find(folder, "a mark")
    assert found
    return found


def state(number: int, size: int = 0) -> str:
    return json.dumps({"msg_id": 1, "n": number, "padding": "." * size})


def play(its: Recording | Attempt, *texts: str, instance: int = 0) -> None:
    """One connection from its begin to its end."""
    with Track(its if isinstance(its, Recording) else Recording(its), instance) as track:
        for text in texts:
            track.take(read(text))


def episodes(its: Attempt) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """What the pieces say, and what is in them there."""
    for piece in sorted(its.recording.glob("*.json")):
        content = piece.with_suffix(".json-seq").read_bytes()
        for episode in json.loads(piece.read_text())["episodes"]:
            part = content[episode["start"] : episode["start"] + episode["size"]]
            records = part.split(b"\x1e")
            assert records[0] == b""
            assert all(record.endswith(b"\n") for record in records[1:])
            yield episode, [record[:-1].decode() for record in records[1:]]


def test_episodes_are_kept_as_they_were_said(tmp_path: Path) -> None:
    its = attempt(tmp_path)
    play(its, state(0), BEGIN, ' {"msg_id": 1, "x": "ü"} ', state(1), BEGIN, state(2))
    found = list(episodes(its))
    assert [said for _, said in found] == [
        [state(0)],
        [BEGIN, ' {"msg_id": 1, "x": "ü"} ', state(1)],
        [BEGIN, state(2)],
    ]
    assert [episode["number"] for episode, _ in found] == [1, 2, 3]
    assert [episode["is_complete"] for episode, _ in found] == [True, True, False]
    for episode, said in found:
        assert len(episode["times_ms"]) == len(said)
        assert episode["times_ms"] == sorted(episode["times_ms"])
    assert not list(its.recording.glob("open-*"))


def test_every_third_episode_is_recorded_when_asked_for(tmp_path: Path) -> None:
    its = attempt(tmp_path, every=3)
    play(its, *[BEGIN] * 7)
    assert [episode["number"] for episode, _ in episodes(its)] == [1, 4, 7]


@pytest.mark.parametrize("policy", [{"every": 0}, {"max_mb": 0}])
def test_nothing_is_recorded_when_nothing_is_to_be(tmp_path: Path, policy: dict[str, int]) -> None:
    its = attempt(tmp_path, **policy)
    play(its, BEGIN, state(1), BEGIN)
    assert list(its.recording.iterdir()) == []


def test_what_is_recorded_never_exceeds_the_bound(tmp_path: Path) -> None:
    its = attempt(tmp_path, max_mb=1)
    for instance in range(2):
        play(its, *[text for n in range(8) for text in (BEGIN, state(n, 100_000))], instance=instance)
    assert 900_000 < sum(path.stat().st_size for path in its.recording.glob("*.json-seq")) <= 2**20
    assert all(said for _, said in episodes(its))


def test_a_piece_ends_with_the_episode_in_which_it_became_large(tmp_path: Path) -> None:
    its = attempt(tmp_path)
    play(its, *[text for n in range(6) for text in (BEGIN, state(n, 100_000))])
    pieces = sorted(its.recording.glob("*.json"))
    assert [len(json.loads(piece.read_text())["episodes"]) for piece in pieces] == [3, 3]


def test_a_piece_ends_with_the_episode_in_which_it_became_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "PIECE_SECONDS", 0.0)
    its = attempt(tmp_path)
    play(its, BEGIN, BEGIN, BEGIN)
    assert len(list(its.recording.glob("*.json"))) == 3


def test_an_episode_without_an_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "PIECE_MESSAGES", 4)
    its = attempt(tmp_path)
    texts = [state(n) for n in range(10)]
    play(its, *texts)
    found = list(episodes(its))
    assert [text for _, said in found for text in said] == texts
    assert [(episode["number"], len(said), episode["is_complete"]) for episode, said in found] == [
        (1, 4, False), (2, 4, False), (3, 2, False),
    ]  # fmt: skip


def test_environments_of_one_job_share_numbers_but_no_piece(tmp_path: Path) -> None:
    its = attempt(tmp_path)
    both = Recording(its)
    with Track(both, 0) as first, Track(both, 1) as second:
        for n in range(3):
            for track in (first, second):
                track.take(read(BEGIN))
                track.take(read(state(n)))
    found = list(episodes(its))
    assert sorted(episode["number"] for episode, _ in found) == [1, 2, 3, 4, 5, 6]
    assert [episode["instance"] for episode, _ in found] == [0, 0, 0, 1, 1, 1]


def test_a_killed_bridge_loses_nothing_that_it_has_heard(tmp_path: Path) -> None:
    its = attempt(tmp_path)
    track = Track(Recording(its), 0).__enter__()
    for text in (BEGIN, state(1), BEGIN, state(2)):
        track.take(read(text))
    (index,) = its.recording.glob("*.index")
    with index.open("ab") as file:
        file.write(b"add 1")  # it was killed in the middle of a line

    recover(tmp_path)
    assert [said for _, said in episodes(its)] == [[BEGIN, state(1)], [BEGIN, state(2)]]
    assert not list(its.recording.glob("open-*"))
    play(its, BEGIN)
    assert [episode["number"] for episode, _ in episodes(its)] == [1, 2, 3]


def test_a_piece_without_an_episode_is_not_kept(tmp_path: Path) -> None:
    its = attempt(tmp_path)
    its.recording.mkdir()
    (its.recording / "0000001-0.json-seq").touch()
    (its.recording / "0000001-0.index").touch()
    recover(tmp_path)
    assert list(its.recording.iterdir()) == []


def test_a_disk_that_takes_nothing_more_stops_only_the_recording(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    its = attempt(tmp_path)
    its.recording.write_text("no folder can be made here")
    play(its, BEGIN, state(1), BEGIN, state(2))
    assert "Run run-1 is not recorded any more" in caplog.text


def test_an_attempt_that_is_going_away_is_not_found(tmp_path: Path) -> None:
    its = attempt(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bridge.json").write_text("{")
    assert find(tmp_path, its.mark) == its
    assert find(tmp_path, "another mark") is None
