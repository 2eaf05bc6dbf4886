"""gunicorn: gevent workers that serve many WebSockets each. Patched first, before anything opens a socket."""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import resource
import threading
import time
from functools import partial
from typing import Any

from psycogreen.gevent import gevent_wait_callback
from psycopg2 import extensions

from coordinator import safety
from coordinator.config import Config
from coordinator.errors import BadConfiguration
from coordinator.parts import parts
from wire import log_lines

log_lines.install()

try:
    _config = Config.from_environment()
    safety.check(_config)  # before any process serves: refused where it would be unsafe
except BadConfiguration as error:
    raise SystemExit(f"Error: {error}") from None

bind = _config.web_bind
workers = _config.web_workers
worker_class = "coordinator.web_worker.WebWorker"
worker_connections = 10_000
graceful_timeout = 20
keepalive = _config.request_seconds
forwarder_headers = ""  # else whoever comes by a proxy of this machine could send another path than the proxy saw
timeout = 60
control_socket_disable = True
preload_app = False  # a fork must not share connections
forwarded_allow_ips = ""  # whom to believe, coordinator/api/proxies.py decides
loglevel = _config.log_level.lower()


def on_starting(server: Any) -> None:
    """Before any process serves: told what is open by the operator's wish."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a thousand sockets would be the usual end of it
    for sentence in safety.openings(_config):
        server.log.warning(sentence)


def post_fork(server: Any, worker: Any) -> None:
    """A query lets other greenlets run. The timeout matters: libpq's own connect timeout does not work this way."""
    extensions.set_wait_callback(partial(gevent_wait_callback, timeout=15))


def post_worker_init(worker: Any) -> None:
    """Once the app is loaded, the process listens to the fanout and watches for its own end."""
    live = parts(worker.wsgi).live
    live.start()

    def watch() -> None:
        while worker.alive:
            time.sleep(0.3)
        live.stop()

    threading.Thread(target=watch, daemon=True).start()
