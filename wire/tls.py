"""TLS to RabbitMQ: what its clients are told, from the address and the files that the settings name. Pure.

With an address that begins with amqps:// certificate and host name are always verified; no setting says otherwise.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SECURE = "amqps"
Options = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Files:
    """PEM files; an empty name is none."""

    ca: str = ""
    """Certificates of those who sign RabbitMQ's; none: those that the system trusts."""
    certificate: str = ""
    """The client's own, where RabbitMQ asks for one."""
    key: str = ""


NO_FILES = Files()


def options(url: str, files: Files = NO_FILES) -> Options:
    """For kombu's connections; None for an address without TLS."""
    if urlsplit(url).scheme != SECURE:
        return None
    its = {"ca_certs": files.ca, "certfile": files.certificate, "keyfile": files.key}
    return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": urlsplit(url).hostname} | {
        name: path for name, path in its.items() if path
    }


def wrong(url: str, files: Files) -> Iterator[str]:
    """What can't be meant, a line each that names the variable."""
    its = {"BROKER_CA_FILE": files.ca, "BROKER_CERT_FILE": files.certificate, "BROKER_KEY_FILE": files.key}
    if urlsplit(url).query:
        yield "BROKER_URL: nothing may follow a '?'; with amqps:// certificates are always verified, by BROKER_CA_FILE"
    if urlsplit(url).scheme != SECURE:
        yield from (f"{name} is set, but BROKER_URL does not begin with amqps://" for name, path in its.items() if path)
    if bool(files.certificate) != bool(files.key):
        yield "BROKER_CERT_FILE and BROKER_KEY_FILE belong together: one of them is missing"
    yield from (f"{name}: there is no file {path}" for name, path in its.items() if path and not Path(path).is_file())
