"""The node's side of the HTTP with the coordinator: claim, heartbeat, upload and download links."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import requests

from wire.jobs import DRAINS, Has, JobSpec
from wire.names import NODE_API

from .config import Config
from .transfer import TRANSFER_SECONDS, Broken, Terms, put

CONNECT_SECONDS, READ_SECONDS = 4, 15
HEARTBEAT_TIMEOUT = (2, 3)
"""Connecting, reading. Heartbeats are tiny: one that hangs in a dying connection must leave time for the next."""
USUAL = Terms()
NOT_LET_IN = (401, 403)
MOST_FINDINGS = 100
UNTRUSTED = (
    "The certificate of the coordinator at {} is not trusted. COORDINATOR_CA_FILE must have those of whoever signs it "
    "({})"
)


class Away(Exception):
    """The coordinator or S3 does not answer at the moment: worth another try."""


class NotLetIn(Away):
    """The coordinator does not take this node's token. Whoever runs it can mend that, so nothing is given up for it."""


class Refused(Exception):
    """The coordinator has answered, and the answer is no."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to a hello. Older coordinators leave out what they do not know."""

    queues: frozenset[str] | None = None
    """Those that the node is to take trainings from."""
    drain: str | None = None
    """How it is to end: one of wire.jobs.DRAINS."""
    check: bool = False
    """It gets no work until it has checked itself."""

    @classmethod
    def from_wire(cls, message: dict[str, Any]) -> Self:
        queues, drain = message.get("queues"), message.get("drain")
        return cls(
            frozenset(map(str, queues)) if isinstance(queues, list) else None,
            drain if drain in DRAINS else None,
            message.get("check") is True,
        )


class Central:
    """The coordinator as one node sees it."""

    def __init__(self, url: str, token: str, ca_file: str = "") -> None:
        """`ca_file` has the certificates that https is verified with; none: those that the system trusts."""
        self._url = url.rstrip("/") + NODE_API
        self._verify: str | bool = ca_file or True
        self._headers = {"Authorization": f"Bearer {token}"}

    @classmethod
    def of(cls, config: Config) -> Self:
        """As the node's settings say."""
        return cls(config.coordinator_url, config.node_token, config.coordinator_ca_file)

    def hello(self, slots: int, has: Has, life: UUID, drain: str | None) -> Welcome:
        """This node is there, in this life, has all this, and ends in this way. Raises Away or Refused."""
        said = {"slots": slots, "has": has.to_wire(), "life": str(life), "drain": drain}
        return Welcome.from_wire(self._post("/hello", said))

    def self_checked(self, passed: bool, findings: list[str]) -> None:
        """What this node has found wrong with itself. Raises Away or Refused."""
        self._post("/self-check", {"passed": passed, "findings": findings[:MOST_FINDINGS]})

    def check(self) -> dict[str, Any]:
        """What an owner's check asks for: time, version, and links to put and get a file. Raises Away or Refused."""
        return self._post("/check", {})

    def claim(self, run_id: str, attempt: int, claim: UUID) -> tuple[JobSpec, float]:
        """What to train and the lease in seconds. Raises Refused when the attempt is not to be had, or Away."""
        answer = self._post("/claims", {"run_id": run_id, "attempt": attempt, "claim": str(claim)})
        return JobSpec.from_wire(answer["spec"]), float(answer["lease_seconds"])

    def heartbeat(self, run_id: str, attempt: int) -> str:
        """ "go on", "cancel" or "not yours". Raises Away or Refused."""
        path = f"/attempts/{run_id}/{attempt}/heartbeat"
        return str(self._post(path, {}, HEARTBEAT_TIMEOUT)["answer"])

    def upload(self, run_id: str, attempt: int, name: str, path: Path, terms: Terms = USUAL) -> None:
        """Puts a file into the attempt's staging place, straight into S3, by a fresh link. Raises Away or Refused."""
        link = self._post(f"/attempts/{run_id}/{attempt}/uploads", {"name": name})["url"]
        try:
            status = put(link, path, terms)
        except Broken as error:
            raise Away(f"S3 does not answer: {error}") from error
        if status != 200:
            raise Away(f"S3 did not take {name}: status {status}")

    def handed_in(self, run_id: str, attempt: int) -> dict[str, Any]:
        """What is to become of the files of an attempt that was handed in: `answer` is one of wire.uploads.ANSWERS,
        with "resend" the `names` of files to upload again. Raises Away or Refused."""
        return self._post(f"/attempts/{run_id}/{attempt}/handed-in", {})

    def again(self, run_id: str, attempt: int) -> None:
        """Files were uploaded again: they are to be verified. Raises Away or Refused."""
        self._post(f"/attempts/{run_id}/{attempt}/again", {})

    def build_link(self, build_id: str) -> str:
        """A fresh link to a build of a job that this node holds. Raises Away or Refused."""
        return str(self._post(f"/builds/{build_id}/link", {})["url"])

    def build_checked(self, build_id: str, error: str | None, seconds: float, found: dict[str, Any]) -> None:
        """What this node found when it first ran a build: `error` None, it passed. Raises Away or Refused."""
        self._post(f"/builds/{build_id}/check", {"error": error, "seconds": seconds, "found": found})

    def _post(
        self, path: str, body: dict[str, Any], timeout: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS)
    ) -> dict[str, Any]:
        try:
            answer = requests.post(
                self._url + path, json=body, headers=self._headers, timeout=timeout, verify=self._verify
            )
            content = answer.json()
        except requests.exceptions.SSLError as error:
            raise Away(UNTRUSTED.format(self._url.removesuffix(NODE_API), error)) from error
        except requests.RequestException as error:  # also an answer that is no JSON: a proxy's, not ours
            raise Away(f"The coordinator does not answer: {type(error).__name__}") from error
        if answer.status_code >= 500:
            raise Away(str(content.get("detail")))
        if answer.status_code in NOT_LET_IN:
            raise NotLetIn(f"The coordinator refuses this node: {content.get('detail')}")
        if answer.status_code >= 400:
            raise Refused(str(content.get("detail")))
        return content if isinstance(content, dict) else {}  # some calls are answered with no more than `true`


def download(link: str, sha256: str, path: Path, go_on: Callable[[], None] = lambda: None) -> None:
    """Fetches a file by its link. Raises Away, also where the content is not what its SHA-256 promises, and what
    `go_on` raises, which is called again and again meanwhile."""
    digest = hashlib.sha256()
    try:
        with requests.get(link, stream=True, timeout=(CONNECT_SECONDS, TRANSFER_SECONDS)) as answer:
            answer.raise_for_status()
            with path.open("wb") as file:
                for chunk in answer.iter_content(256 * 1024):
                    go_on()
                    digest.update(chunk)
                    file.write(chunk)
    except requests.RequestException as error:
        raise Away(f"S3 does not answer: {type(error).__name__}") from error
    if digest.hexdigest() != sha256:
        raise Away("The checkpoint came damaged.")


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
