"""Logs as they grow: whole lines, each once, whatever is written, cut short or flooded; and no more than a bound."""

from pathlib import Path
from typing import Any

import pytest

from node.logs import PIECE_BYTES, Logs, followed

Facts = list[dict[str, Any]]


@pytest.fixture
def said() -> Facts:
    return []


def log_of(folder: Path, said: Facts, most_kb: int = 64) -> tuple[Path, Logs]:
    return folder / "trainer.log", Logs(folder, said.append, most_kb)


def texts(said: Facts, source: str = "trainer") -> str:
    assert {fact["kind"] for fact in said} <= {"log"}
    return "".join(fact["text"] for fact in said if fact["source"] == source)


def test_whole_lines_are_reported_as_they_come(tmp_path: Path, said: Facts) -> None:
    path, logs = log_of(tmp_path, said)
    assert not logs.gather()
    path.write_text("one\ntwo\nthr")
    assert logs.gather()
    assert not logs.gather()
    with path.open("a") as file:
        file.write("ee\nfour")
    logs.gather()
    assert [fact["text"] for fact in said] == ["one\ntwo\n", "three\n"]
    logs.gather_rest()
    assert texts(said) == "one\ntwo\nthree\nfour"


def test_both_sources_are_followed(tmp_path: Path, said: Facts) -> None:
    path, logs = log_of(tmp_path, said)
    path.write_text("trainer\n")
    for number in (0, 1):
        player = tmp_path / "results" / "run" / "run_logs" / f"Player-{number}.log"
        player.parent.mkdir(parents=True, exist_ok=True)
        player.write_text(f"player {number}\n")
    logs.gather_rest()
    assert (texts(said), texts(said, "environment")) == ("trainer\n", "player 0\nplayer 1\n")


def test_a_log_that_is_cut_short_or_replaced_is_read_from_its_beginning(tmp_path: Path, said: Facts) -> None:
    path, logs = log_of(tmp_path, said)
    path.write_text("a long first line\n")
    logs.gather()
    path.write_text("short\n")
    logs.gather()
    path.rename(tmp_path / "trainer.log.1")
    assert not logs.gather()
    path.write_text("another one in its place\n")
    logs.gather()
    assert texts(said) == "a long first line\nshort\nanother one in its place\n"


def test_what_is_no_text_is_reported_as_far_as_it_is(tmp_path: Path, said: Facts) -> None:
    path, logs = log_of(tmp_path, said)
    path.write_bytes(b"caf\xc3\xa9 \xff\xfe \x00\n")
    logs.gather()
    assert texts(said) == "caf\u00e9 \ufffd\ufffd \x00\n"


def test_a_flood_is_reported_up_to_the_bound_and_then_says_so(tmp_path: Path, said: Facts) -> None:
    path, logs = log_of(tmp_path, said, most_kb=64)
    path.write_bytes(b"x" * 99 + b"\n")
    with path.open("ab") as file:
        for _ in range(100):
            file.write((b"y" * 99 + b"\n") * 100)
            logs.gather()
    logs.gather_rest()
    assert not logs.gather()
    text = texts(said)
    assert text.endswith("[More than 64 kB of this log came; the rest is not shown here.]\n")
    assert 64 * 1024 <= len(text) <= 65 * 1024 + 100
    assert max(len(fact["text"]) for fact in said) <= PIECE_BYTES + 100


def test_a_line_without_an_end_comes_in_parts(tmp_path: Path, said: Facts) -> None:
    path, logs = log_of(tmp_path, said)
    path.write_bytes(b"z" * (PIECE_BYTES + 10))
    assert logs.gather()
    assert not logs.gather()
    logs.gather_rest()
    assert texts(said) == "z" * (PIECE_BYTES + 10)


def test_what_is_written_last_is_reported_too(tmp_path: Path, said: Facts) -> None:
    with followed(tmp_path, said.append, 64):
        (tmp_path / "trainer.log").write_text("Traceback: the end")
    assert texts(said) == "Traceback: the end"
