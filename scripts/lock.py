"""`make lock`: writes `locks/`, by which everything is installed: what the requirements files pin, with the hashes of
every file of those releases. What a package index hands out instead of them is refused.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from scripts.machine import SetupError
from scripts.venvs import LOCKS, ROOT, TOOLS, WHEELS

PYTHON = {"requirements-node-mlagents.txt": "3.10.12"}
"""What a file's packages say that they need, where it is not ours."""
NODE = "requirements-node.txt"
CUDA, CPU = "requirements-node-cuda.txt", "requirements-node-cpu.txt"
"""PyTorch's default build, with what its makers chose to go with it, and its build for processors only: one of them."""
TORCH = "torch==2.13.0"
TORCH_FOR_CPU = {f"{TORCH}+cpu": ["sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"]}
"""Not on the package index, but on PyTorch's own."""
HEAD = "# Made by `make lock` from {}; not to be edited.\n"
ENTRY = re.compile(r"^([A-Za-z0-9._-]+==\S+)((?: \\\n +--hash=\S+)+)$", re.MULTILINE)
SOURCES = ("requirements-tools.txt", "requirements.txt", "requirements-dev.txt", "requirements-node.txt",
           "requirements-node-mlagents.txt")  # fmt: skip


def main() -> int:
    """0 when all are written; 1 after a sentence."""
    try:
        if not TOOLS.is_up_to_date():
            TOOLS.install()
        for source in SOURCES:
            lock(source)
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def lock(source: str) -> None:
    """Writes a file's lock. Raises SetupError where the file does not say all that it brings along."""
    wanted, found = pins(source), resolved(source)
    missing = sorted({*found} - wanted)
    if source == NODE:
        write(CUDA, f"{source}, for PyTorch's default build", {pin: found.pop(pin) for pin in [TORCH, *missing]})
        write(CPU, f"{source}, for PyTorch's build for processors only", TORCH_FOR_CPU)
    elif missing:
        raise SetupError(f"{source} lacks what its packages bring along: {', '.join(missing)}.")
    write(source, source, found)


def pins(source: str) -> set[str]:
    """As in "flask==3.1.3", of a requirements file and those that it includes."""
    text = (ROOT / source).read_text()
    own = {normal(pin) for pin in re.findall(r"^([A-Za-z0-9._-]+==[^\s;#]+)", text, re.MULTILINE)}
    return own.union(*(pins(included) for included in re.findall(r"^-r (\S+)", text, re.MULTILINE)))


def resolved(source: str) -> dict[str, list[str]]:
    """The pins of all that is installed for it, with their hashes."""
    command = [str(TOOLS.folder / "bin" / "uv"), "pip", "compile", source, "--generate-hashes", "--no-header"]
    command += ["--quiet", "--no-annotate", "--python-platform", "x86_64-unknown-linux-gnu", *WHEELS]
    command += ["--python-version", PYTHON.get(source, "3.11")]
    command += ["--no-deps"] if source in PYTHON else []
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"The hashes for {source} could not be found out:\n{done.stderr.strip()}")
    return {normal(pin): sorted(re.findall(r"--hash=(\S+)", hashes)) for pin, hashes in ENTRY.findall(done.stdout)}


def write(name: str, source: str, found: dict[str, list[str]]) -> None:
    """In the form that pip reads."""
    entries = [" \\\n".join([pin, *(f"    --hash={one}" for one in hashes)]) for pin, hashes in sorted(found.items())]
    Path(LOCKS / name).write_text(HEAD.format(source) + "\n".join(entries) + "\n")
    print(f"  locks/{name}: {len(entries)} packages")


def normal(pin: str) -> str:
    """With the name as package indexes compare it."""
    name, _, version = pin.partition("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"


if __name__ == "__main__":
    sys.exit(main())
