"""Where RabbitMQ's programs are and how they start: the machine's, unpacked ones, or another system's in a folder.

The last is how a newer RabbitMQ than the machine's runs beside it, with the C library and the Erlang it was made for.
"""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from services.errors import ServiceError

PLACES = ("/usr/lib/rabbitmq/bin", "/usr/lib/rabbitmq/sbin", "/opt/rabbitmq/sbin", "/usr/local/sbin")
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The node's folder is found under its own name inside. The mounts are in a namespace that ends with its last process,
# so nothing stays mounted, and whoever deletes the system's folder deletes nothing else. All is done by exec: the guard
# watches one process, which becomes the Erlang machine.
ENTER = """
root=$1 data=$2
shift 2
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root$data"
mount --rbind "$data" "$root$data"
exec chroot "$root" /usr/bin/env -C "$data" "$@"
"""


class Programs(NamedTuple):
    """RabbitMQ's programs and Erlang's epmd, and what is put before each command."""

    folder: Path
    epmd: Path
    root: Path = Path("/")
    prefix: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """As the server's own plug-in is named; asking rabbitmqctl would start an epmd that stays."""
        server = Path(f"{self.root}{self.folder}/rabbitmq-server").resolve()
        return next(server.parent.parent.glob("plugins/rabbit-[0-9]*")).name.removeprefix("rabbit-").removesuffix(".ez")

    def command(self, name: str, *arguments: str) -> list[str]:
        """How `name` (rabbitmq-server, rabbitmqctl, epmd) is started."""
        program = self.epmd if name == "epmd" else self.folder / name
        return [*self.prefix, str(program), *arguments]


def find_programs(data: Path) -> Programs:
    """Those of RABBITMQ_ROOT, else RABBITMQ_HOME, else the machine's; `data` is the one folder they write in."""
    root = os.environ.get("RABBITMQ_ROOT")
    return programs_inside(Path(root).resolve(), data) if root else Programs(find_sbin(), find_epmd())


def programs_inside(root: Path, data: Path) -> Programs:
    """Those of the Debian system unpacked in `root`, entered by chroot."""
    folder = next((place for place in PLACES if os.path.lexists(f"{root}{place}/rabbitmq-server")), None)
    if folder is None:
        raise ServiceError(
            f"RABBITMQ_ROOT names {root}, but there is no system with RabbitMQ in it. `make rabbitmq4` makes one."
        )
    if os.geteuid() != 0:
        raise ServiceError(f"Only root can run RabbitMQ in {root}. Run the same as root, or without RABBITMQ_ROOT.")
    prefix = ("unshare", "--mount", "sh", "-ec", ENTER, "sh", str(root), str(data), f"PATH={SEARCH_PATH}")
    return Programs(Path(folder), Path("/usr/bin/epmd"), root, prefix)


def find_sbin() -> Path:
    """The folder of the programs themselves: Debian's on PATH are wrappers that insist on Debian's user."""
    home = os.environ.get("RABBITMQ_HOME")
    on_path = shutil.which("rabbitmq-server")
    candidates = [Path(home) / "sbin"] if home else [*map(Path, PLACES)]
    candidates += [Path(on_path).resolve().parent] if on_path and not home else []
    for folder in candidates:
        if (folder / "rabbitmq-server").exists():
            return folder
    raise ServiceError(
        "There is no rabbitmq-server on this machine. Type `make setup` (it installs the system's package), set "
        "RABBITMQ_HOME to an unpacked RabbitMQ, or set BROKER_URL to a broker of your own."
    )


def find_epmd() -> Path:
    """Erlang's name server: on PATH, else in the Erlang installation."""
    found = shutil.which("epmd")
    erl = shutil.which("erl")
    inside = sorted(Path(erl).resolve().parent.parent.glob("erts-*/bin/epmd")) if erl else []
    if found is None and not inside:
        raise ServiceError("Erlang's epmd was not found; it belongs to the package erlang-base.")
    return Path(found) if found else inside[-1]
