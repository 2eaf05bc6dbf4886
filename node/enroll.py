"""`python -m node enroll CODE`: the node's half of its enrolment. Keeps what the code says, then tries it."""

import os
from pathlib import Path
from typing import TextIO

from wire import enrolment

from . import check, check_platform
from .start import own


def run(out: TextIO, code: str, file: Path) -> int:
    """0 when the node could reach everything, else 1; what the code says is kept either way."""
    try:
        settings = enrolment.decode(code)
    except ValueError as error:
        print(error, file=out)
        return 1
    file.parent.mkdir(parents=True, exist_ok=True)
    enrolment.write(file, settings)
    print(f"{file} has the settings of node {settings['NODE_NAME']}, with its token: keep it to yourself.", file=out)
    wrong = check.report(out, {**own(os.environ), **settings, "NODE_SETTINGS": ""}, check_platform.CHECKS)
    print(f"\nStart the node with `NODE_SETTINGS={file} python -m node run`." if not wrong else
          f"\nWhen this is mended, `NODE_SETTINGS={file} python -m node check` looks again.", file=out)  # fmt: skip
    return 1 if wrong else 0
