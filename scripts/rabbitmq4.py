"""For `make rabbitmq4`: a RabbitMQ 4 beside the machine's, from the next Debian release, unpacked into a folder once.

services/rabbitmq_programs.py runs it from there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.bootstrap import only_one_at_a_time
from scripts.machine import SetupError, apt_install, run_as_root

ROOT = Path(__file__).resolve().parent.parent
SYSTEM = ROOT / ".data" / "rabbitmq4"
LOG = ROOT / ".data" / "logs" / "setup-rabbitmq4.log"
RELEASE = "trixie"
DEBIAN = ("apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages", "Label: Debian")
ELSEWHERE = "Any other way to a RabbitMQ 4 does as well: unpack one, name it with RABBITMQ_HOME, type `make test`."


def main() -> int:
    """0 when it is there; 1 after a sentence that says why it can't be."""
    try:
        with only_one_at_a_time():
            if not SYSTEM.exists():
                unpack()
    except SetupError as error:
        print(f"\nSet-up stopped: {error}", file=sys.stderr)
        return 1
    return 0


def unpack() -> None:
    """Beside its final place and moved there when complete. Raises SetupError."""
    if os.geteuid() != 0:
        raise SetupError(f"Only root can unpack a system and enter it. Type: sudo make rabbitmq4\n{ELSEWHERE}")
    if not shutil.which("debootstrap") and not apt_install("debootstrap"):
        raise SetupError(f"debootstrap is missing. Type: apt-get install debootstrap\n{ELSEWHERE}")
    mirror, draft = find_mirror(), SYSTEM.with_suffix(".new")
    print(f"Unpacking Debian's {RELEASE} with RabbitMQ 4 into {SYSTEM} (400 MB, a minute or two) ...", flush=True)
    began = time.monotonic()
    shutil.rmtree(draft, ignore_errors=True)
    LOG.parent.mkdir(parents=True, exist_ok=True)
    # what debootstrap mounts goes with its last process, even when that is killed
    command = ["unshare", "--mount", "debootstrap", "--variant=minbase", "--include=rabbitmq-server", RELEASE]
    if not run_as_root([*command, str(draft), mirror], LOG):
        tail = "\n".join(f"  | {line}" for line in LOG.read_text(errors="replace").splitlines()[-10:])
        raise SetupError(f"debootstrap failed. It said (all of it is in {LOG}):\n{tail}\n{ELSEWHERE}")
    draft.rename(SYSTEM)
    print(f"  done in {time.monotonic() - began:.0f} s", flush=True)


def find_mirror() -> str:
    """Where this machine's apt gets Debian from. Raises SetupError."""
    found = debian_mirrors() or (run_as_root(["apt-get", "-q", "update"]) and debian_mirrors())
    if not found:
        raise SetupError(f"apt does not get its packages from Debian on this machine.\n{ELSEWHERE}")
    return found[0]


def debian_mirrors() -> list[str]:
    """Addresses that apt is set up with and has lists of."""
    return subprocess.run(DEBIAN, capture_output=True, text=True, check=False).stdout.split()


if __name__ == "__main__":
    sys.exit(main())
