"""How root runs a program that refuses to run as root, as PostgreSQL does.

No system user is made for it, and no folder is opened to others.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from services.errors import ServiceError

NOBODY = 65534
# A user namespace shows root's files and root itself under another number: nothing on disk changes its owner.
NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "setpriv", "--pdeathsig", "KILL")
# Where namespaces are refused: another user, who may still pass through folders that are closed to him.
PLAIN_USER = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--pdeathsig", "KILL"),
)


def prefix_for(folder: Path, program: Path) -> tuple[str, ...]:
    """What to put before the command so that it is not root, may write in `folder` (made here) and run `program`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() != 0:
        return ()
    if folder.stat().st_uid == 0 and works(NAMESPACE, folder, program):
        return NAMESPACE
    if works(PLAIN_USER, folder, program) and give_to_nobody(folder):
        return PLAIN_USER
    raise ServiceError(
        f"{program.name} does not run as root, and this machine allows root neither a user namespace nor another user "
        "id. Run the same command as an ordinary user, or set DATABASE_URL to a PostgreSQL server of your own."
    )


def works(prefix: Sequence[str], folder: Path, program: Path) -> bool:
    """Tries the prefix with a small shell test."""
    test = 'test "$(id -u)" != 0 && test -w "$1" && test -x "$2"'
    command = [*prefix, "sh", "-c", test, "sh", str(folder), str(program)]
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def give_to_nobody(folder: Path) -> bool:
    """Change the owner of the folder and all in it; false where even that is refused."""
    try:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    except PermissionError:
        return False
    return True
