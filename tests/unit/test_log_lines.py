"""Nobody forges a line of a log, whatever he is called."""

import io
import logging
from collections.abc import Iterator

import pytest

from wire import log_lines
from wire.log_lines import one_line

FORGED = "ann\r\n2026-01-01 00:00:00,000 INFO root: all is well\x1b[2K\x1b]0;title\x07\x9b31m\u202eevil\u2028\0\ud800"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What a logger of a program of ours writes."""
    usual, out = logging.getLogRecordFactory(), io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger("attacked").addHandler(handler)
    log_lines.install()
    yield out
    logging.setLogRecordFactory(usual)
    logging.getLogger("attacked").removeHandler(handler)


def test_a_record_is_one_line_without_control_characters(lines: io.StringIO) -> None:
    logging.getLogger("attacked").warning("User %s has come.", FORGED)
    (line,) = lines.getvalue().splitlines()
    assert line.isprintable()
    assert r"ann\r\n2026" in line
    assert line.endswith(r"\u202eevil\u2028\x00\ud800 has come.")


def test_a_traceback_follows_its_record_and_forges_none(lines: io.StringIO) -> None:
    try:
        raise ValueError(FORGED)
    except ValueError:
        logging.getLogger("attacked").exception("It failed.")
    first, *trace = lines.getvalue().splitlines()
    assert first.endswith("ERROR attacked: It failed.")
    assert trace[0] == "  | Traceback (most recent call last):"
    assert [line for line in trace if not line.startswith("  | ") or not line.isprintable()] == []


@pytest.mark.parametrize("text", ["ann", "Ünïcode 走", "a\\nb", "👩‍👩‍👧", "שלום"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text
