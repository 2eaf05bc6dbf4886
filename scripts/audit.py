"""`make audit`: whether any pinned package has a known weakness, as the package index tells. Needs the internet."""

from __future__ import annotations

import subprocess
import sys

from scripts.machine import SetupError
from scripts.venvs import LOCKS, TOOLS

EXPLAINED: dict[str, str] = {}
"""A finding's id, and why it does no harm here. What is not among them fails the audit."""


def main() -> int:
    """0 when all is clean or explained; else 1, also when it could not be found out."""
    try:
        if not TOOLS.is_up_to_date():
            TOOLS.install()
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    failed = [path.name for path in sorted(LOCKS.glob("*.txt")) if not is_clean(str(path))]
    for finding, why in EXPLAINED.items():
        print(f"Explained: {finding}: {why}")
    print(
        f"Not clean, or not known: {', '.join(failed)}."
        if failed
        else "No package has a weakness that is not explained."
    )
    return 1 if failed else 0


def is_clean(lock: str) -> bool:
    """Strict: a package of which nothing is known counts as one that is not clean."""
    ignored = [word for finding in EXPLAINED for word in ("--ignore-vuln", finding)]
    command = [str(TOOLS.folder / "bin" / "pip-audit"), "--requirement", lock, "--require-hashes", "--disable-pip"]
    command += ["--strict", "--progress-spinner", "off", *ignored]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
