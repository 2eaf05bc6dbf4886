"""Logs in which nobody can forge a line: whatever a program logs, a record is one line without control characters."""

import logging
import re
from typing import Any

HOSTILE = "\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""For a class of a regular expression: control characters, ends of lines, what turns the direction of text round."""
HALF = "\ud800-\udfff"
"""Half characters, which no JSON brings in."""
_HOSTILE = re.compile(f"[{HOSTILE}{HALF}]")
TRACE = "  | "
"""Before each line of a traceback, so that none of them passes for a record."""


class Record(logging.LogRecord):
    """What is logged, in one line; a traceback may follow."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info:
            trace = logging.Formatter().formatException(self.exc_info)
            self.exc_text = "\n".join(TRACE + one_line(line) for line in trace.splitlines())

    def getMessage(self) -> str:  # noqa: N802
        return one_line(super().getMessage())


def install() -> None:
    """From now on, for all loggers of this process and of those that it forks."""
    logging.setLogRecordFactory(Record)


def one_line(text: str) -> str:
    r"""The text with \n for an end of line, and the like: for logs and for terminals."""
    return _HOSTILE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
