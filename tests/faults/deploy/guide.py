"""docs/deploy.md, typed from its top to its bottom on a machine whose paths, ports and names are a test's own."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
import websocket

from services.platform import OF_THE_COORDINATOR, ROOT
from services.ports import answers, free_ports
from services.postgres import find_programs as postgres_programs
from services.process import Process
from services.rabbitmq_programs import find_programs
from services.stack import Stack
from tests.issuer import AUDIENCE, ISSUER
from tests.jobs import bearer
from tests.stub_platform import StubPlatform

GUIDE = (ROOT / "docs" / "deploy.md").read_text()
NODE = "gpu-1"
NGINX = """daemon off; pid %(folder)s/nginx.pid.txt; error_log %(folder)s/error.log; events {}
http { access_log off; client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy;
%(servers)s}
"""


def block(title: str, language: str = "sh", number: int = 0) -> str:
    """What stands in a section of the guide to be typed."""
    section = re.split(r"^##+ ", GUIDE, flags=re.MULTILINE)
    (text,) = [it for it in section if it.startswith(f"{title}\n")]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[number]


class Machine:
    """One on which the guide is followed: its settings lie in files, its programs can be restarted, all speaks TLS."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.conf, self.bin = folder, folder / "etc", folder / "bin"
        self.bin.mkdir(parents=True)
        self.stack = Stack(folder / "services", environ={})
        self.web, self.s3, self.amqps = free_ports(3, set(self.stack.ports.values()))
        """Where TLS is spoken."""
        self.ca = self.conf / "tls" / "ca.pem"
        self._has_started = False
        self._programs()
        self.follow(block("Secrets in files"))
        (self.conf / "environment").write_text(self.told(block("Secrets in files", "ini")))
        self.follow(self.certificates + block("Certificates", number=1) + block("Certificates", number=2))
        self.platform = GuidedPlatform(self)
        self.nginx = Process("nginx", folder / "nginx.log", folder / "nginx.pid")

    @property
    def certificates(self) -> str:
        """The functions that make them, as they stay in the shell."""
        return block("Certificates")

    def __enter__(self) -> Self:
        self._tell_services()
        self.stack.start()
        try:
            self.follow(block("Users of the services"))
            self._start_nginx()
            self._has_started = True
            self.platform.__enter__()
            self.platform.start("web", "results", "recorder", "flower")
            self.platform.add_node(NODE)
            self.platform.start(NODE)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.platform.stop()
        self.nginx.stop()
        self.stack.stop()

    def told(self, text: str) -> str:
        """As it is typed on this machine, beside which others run."""
        for there, here in self._here().items():
            text = text.replace(there, here)
        return text

    def follow(self, script: str, stdin: str = "", **more: str) -> str:
        """Types it in a new shell; then what it wants restarted is. What it printed."""
        first = "".join(block("Start").splitlines(keepends=True)[:2]) + block("Rotation") if self._has_started else ""
        begin = f"set -euo pipefail\nexport CONF=/etc/train-jobs\n{first}{self.certificates}"
        tools = [str(self.bin), str(postgres_programs()), str(Path(sys.executable).parent), os.environ["PATH"]]
        environ = self.platform.env if self._has_started else os.environ
        done = subprocess.run(
            ["bash", "-c", self.told(begin + script)], env={**environ, "PATH": os.pathsep.join(tools), **more},
            cwd=self.folder, input=stdin, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        wanted = self.folder / "restart"
        if wanted.exists():
            self.restart(*wanted.read_text().split())
            wanted.unlink()
        return done.stdout

    def restart(self, *names: str) -> None:
        for name in names:
            self.platform.process(name).stop()
            self.platform.start(name)

    def read(self, name: str) -> str:
        """What a setting of the environment is, or its file has."""
        its = self.platform.of_the_guide
        return its[name] if name in its else Path(its[f"{name}_FILE"]).read_text().strip()

    def still_trains(self) -> None:
        self.platform.until("SUCCEEDED", self.platform.submit(0.3))

    def me(self, token: str) -> requests.Response:
        """What the web says to this token, by the proxy."""
        url = f"https://127.0.0.1:{self.web}/api/v1/me"
        return requests.get(url, headers=bearer(token), verify=str(self.ca), timeout=10)

    def drop_connections(self) -> None:
        """All programs connect to RabbitMQ anew."""
        self.follow('rabbitmqctl close_all_connections "tried by a test"')

    def watch(self, run_id: str, token: str = "") -> Any:
        """The WebSocket of a game, by the proxy."""
        ws = websocket.create_connection(
            f"wss://127.0.0.1:{self.web}/ws/v1/client-stream", timeout=60,
            header=[f"Authorization: Bearer {token or self.platform.token}"],
            sslopt={"ca_certs": str(self.ca), "cert_reqs": ssl.CERT_REQUIRED},
        )  # fmt: skip
        ws.send(f'{{"run_id": "{run_id}"}}')
        return ws

    def _here(self) -> dict[str, str]:
        """What the guide says, and what that is here; in this order."""
        postgres, ports, web = self.stack.postgres, self.stack.ports, ""
        assert postgres
        if hasattr(self, "platform"):
            web = self.platform.env["WEB_BIND"]
        superuser = postgres.url.replace("+psycopg2", "").replace("//train_jobs:", "//postgres:")
        return {
            "train_jobs": "studio",  # the stack has a user of the guide's name already
            "sudo -u postgres psql --quiet": f"psql --quiet {superuser}",
            "https://train.example.com": f"https://127.0.0.1:{self.web}",
            "https://s3.example.com": f"https://127.0.0.1:{self.s3}",
            "rabbitmq.example.com:5671": f"127.0.0.1:{self.amqps}", "127.0.0.1:5671": f"127.0.0.1:{self.amqps}",
            "listeners.ssl.default = 5671": f"listeners.ssl.1 = 127.0.0.1:{self.amqps}",
            "127.0.0.1:5432": f"127.0.0.1:{ports['POSTGRES_PORT']}",
            "127.0.0.1:15672": f"127.0.0.1:{ports['RABBITMQ_MANAGEMENT_PORT']}",
            "127.0.0.1:8080": web or "127.0.0.1:8080", "127.0.0.1:9000": f"127.0.0.1:{ports['S3_PORT']}",
            "/etc/train-jobs": str(self.conf), "/etc/rabbitmq/tls": str(self.folder / "rabbitmq-tls"),
            "/opt/train-jobs": str(ROOT), "-o rabbitmq": f"-o {os.getuid()}", "-g train-jobs": f"-g {os.getgid()}",
        }  # fmt: skip

    def _tell_services(self) -> None:
        """What the guide has for the configuration of RabbitMQ, and the keys for that of S3."""
        rabbitmq, s3 = self.stack.rabbitmq, self.stack.s3
        assert rabbitmq
        assert s3
        more = rabbitmq.folder / "conf.d" / "91-tls.conf"
        more.parent.mkdir(parents=True)
        more.write_text(self.told(block("Certificates", "ini")))
        ready: Any = lambda: answers(self.amqps) and answers(self.stack.ports["RABBITMQ_MANAGEMENT_PORT"])  # noqa: E731
        rabbitmq.ready = ready  # type: ignore[method-assign]
        s3.key, s3.secret = self.read("S3_ACCESS_KEY_ID"), self.read("S3_SECRET_ACCESS_KEY")

    def _start_nginx(self) -> None:
        servers = [block("The TLS proxy", "nginx", number) for number in (0, 1)]
        listen = [its.replace("listen 443", f"listen 127.0.0.1:{port}")
                  for its, port in zip(servers, (self.web, self.s3), strict=True)]  # fmt: skip
        settings = NGINX % {"folder": self.folder, "servers": self.told("".join(listen))}
        (self.folder / "nginx.conf").write_text(settings)
        self.nginx.start([self.bin / "nginx"], os.environ, self.folder)
        self.nginx.wait_ready(lambda: answers(self.web) and answers(self.s3), 20)

    def _programs(self) -> None:
        """nginx and rabbitmqctl of this machine alone; and a systemctl that notes what is to be restarted."""
        assert self.stack.rabbitmq
        rabbitmqctl = find_programs(self.stack.rabbitmq.folder).command("rabbitmqctl", "-q")
        its = {key: value for key, value in self.stack.rabbitmq.environment().items()
               if key.startswith(("RABBITMQ_", "ERL_")) or key == "HOME"}  # fmt: skip
        self._program("rabbitmqctl", [str(word) for word in rabbitmqctl], its)
        nginx = str(shutil.which("nginx"))
        self._program("nginx", [nginx, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")], {})
        systemctl = self.bin / "systemctl"
        systemctl.write_text(f'#!/bin/sh\necho "${{2#train-jobs-}}" >> {self.folder}/restart\n')
        systemctl.chmod(0o755)

    def _program(self, name: str, command: list[str], environ: dict[str, str]) -> None:
        sets = "".join(f"export {key}='{value}'\n" for key, value in environ.items())
        words = " ".join(f"'{word}'" for word in command)
        (self.bin / name).write_text(f'#!/bin/sh\n{sets}exec {words} "$@"\n')
        (self.bin / name).chmod(0o755)


class GuidedPlatform(StubPlatform):
    """The programs, with the environment of the guide and no other; nodes are enrolled as it says."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.of_the_guide = dict(
            line.split("=", 1) for line in (machine.conf / "environment").read_text().splitlines()
        )  # fmt: skip
        super().__init__(machine.stack, machine.folder / "platform", ISSUERS)
        for name in OF_THE_COORDINATOR:
            self.env.pop(name, None)
        self.env |= self.of_the_guide | {f"{name}_FILE": str(machine.conf / file) for name, file in SECRETS.items()}
        for file in SECRETS.values():
            (machine.conf / file).write_text(f"{'0' * 31} of the beginning\n")

    def prepare(self) -> None:
        """The tables, the bucket and a user's token."""
        self.machine.follow(block("Start"))
        self.token = self.run("flask --app wsgi tokens create player")

    def environment(self, name: str) -> dict[str, str]:
        """What that program gets: a node has nothing of the coordinator's."""
        if name not in self._nodes:
            return self.env
        of_the_coordinator = {*self.of_the_guide, *(f"{secret}_FILE" for secret in SECRETS)}
        others = {key: value for key, value in self.env.items() if key not in of_the_coordinator}
        return others | self._nodes[name]

    def enroll(self, name: str) -> dict[str, str]:
        """By the guide's line on each side. What the node has from then on."""
        line = self.machine.follow(block("A training node").replace(NODE, name))
        assert line.startswith("python -m node enroll ")
        folder = self.folder / f"machine-of-{name}"
        folder.mkdir(exist_ok=True)
        shutil.copy(self.machine.ca, folder / "ca.pem")
        export, enroll, run = block("A training node", number=1).splitlines()
        assert run.endswith(" -m node run")
        its = dict(re.findall(r"(\w+)=(\S+)", export.replace("/etc/train-jobs", str(folder))))
        environ = {key: value for key, value in os.environ.items() if key != "NODE_SETTINGS"} | its
        said = subprocess.run(
            ["bash", "-c", enroll.replace(".venv-node/bin/python", sys.executable)], cwd=folder, input=line,
            env=environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert said.returncode == 0, said.stdout + said.stderr
        return its | {"NODE_SETTINGS": str(folder / "node.env")}


ISSUERS = {"AUTH_ISSUER": ISSUER, "AUTH_AUDIENCE": AUDIENCE}
SECRETS = {"AUTH_JWT_SECRET": "jwt-secret", "NEXTAUTH_SECRET": "nextauth-secret"}
"""Beside the guide's environment: an installation that takes tokens of others, and the files of their secrets."""
