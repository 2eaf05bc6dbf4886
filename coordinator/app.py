"""The one place where the coordinator's parts meet."""

import logging
from functools import partial
from pathlib import Path
from uuid import UUID

from flask import Flask

from wire import log_lines

from . import broker, connections, logs, pulses, queries, safety
from .accounts.issuers.door import Issuers
from .api import (
    accounts,
    addresses,
    answers,
    audit,
    auth,
    documents,
    environments,
    episodes,
    etags,
    files,
    headers,
    health,
    jobs,
    nodes,
    reproduction,
    socket,
)
from .api import installation as installation_routes
from .api import limits as limit_routes
from .api import logs as log_routes
from .api import models as model_routes
from .api.admission import BEARER
from .api.proxies import Proxies, ProxiesMiddleware
from .api.request_bodies import RequestBodies
from .api.whole_writes import WholeWritesMiddleware
from .builds import Builds
from .commands import cli
from .config import Config
from .environments import Catalogue
from .extensions import db, migrate, sock
from .front_door import FrontDoor
from .limiting.limits import Limits
from .live.bus import Publisher
from .live.hub import Hub
from .live.service import Live
from .parts import Parts
from .senders import Senders
from .storage import Storage

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parent.parent


def create_app(config: Config | None = None) -> Flask:
    """The Flask app. Connects to nothing: that happens at first use. Raises BadConfiguration."""
    config = config or Config.from_environment()
    safety.check(config)
    log_lines.install()
    logging.basicConfig(level=config.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    app = Flask("coordinator", static_folder=None)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=config.sqlalchemy_url(),
        SQLALCHEMY_ENGINE_OPTIONS=ENGINE_OPTIONS,
        MAX_CONTENT_LENGTH=config.max_body_bytes,
        SOCK_SERVER_OPTIONS={"ping_interval": 25, "max_message_size": config.max_body_bytes, "subprotocols": [BEARER]},
    )
    app.url_map.merge_slashes = False  # nothing is at "//", and nobody is sent elsewhere
    db.init_app(app)
    migrate.init_app(app, db, directory=str(ROOT / "migrations"))
    with app.app_context():
        connections.check_idle(db.engine)
    _build(app, config)
    headers.register(app, config)
    answers.register(app)
    addresses.register(app)
    auth.register(app)
    etags.register(app)
    for module in (accounts, audit, installation_routes, limit_routes, jobs, environments, files, model_routes,
                   log_routes, episodes, nodes, reproduction, health, documents, socket):  # fmt: skip
        app.register_blueprint(module.blueprint)
    sock.init_app(app)
    cli.register(app)
    bodies = RequestBodies(app.wsgi_app, config.request_seconds)
    whole = WholeWritesMiddleware(bodies, config.socket_write_seconds, config.socket_linger_seconds)
    app.wsgi_app = ProxiesMiddleware(whole, Proxies(config.trusted_proxies))  # type: ignore[method-assign]
    return app


ENGINE_OPTIONS = {
    "pool_size": 10,
    "max_overflow": 10,
    "pool_timeout": 5,
    "executemany_mode": "values_plus_batch",
    "connect_args": {
        "connect_timeout": 5,
        "keepalives_idle": 30,
        "options": "-c statement_timeout=15000 -c idle_in_transaction_session_timeout=60000",
    },
}


def _build(app: Flask, config: Config) -> None:
    hub = Hub(config.socket_backlog, config.socket_states_kb * 1024)

    door = FrontDoor(config.web_bind)

    def beat() -> None:
        if not door.answers():
            log.warning("The web is too busy to answer itself: no lease ends meanwhile.")
            return
        with app.app_context():
            pulses.beat(pulses.WEB, pulses.gap_of(config.lease_seconds))

    def newest(run_ids: list[UUID]) -> dict[UUID, int]:
        with app.app_context():
            return queries.newest_seqs(run_ids)

    def newest_logs(run_ids: list[UUID]) -> dict[UUID, tuple[int, int]]:
        with app.app_context():
            return logs.newest(run_ids)

    senders = Senders(broker.user_of(config.broker_url))

    def is_genuine(run_id: UUID, attempt: int, sender: str | None) -> bool:
        known = senders.is_known(run_id, attempt, sender)
        if known is not None:
            return known
        with app.app_context():
            return senders.why_not(run_id, attempt, sender) is None

    connect = partial(broker.connection, config.broker_url, config.broker_files)
    folder = Path(config.environments_dir)
    Parts(
        config=config,
        storage=Storage(config),
        catalogue=Catalogue(folder if folder.is_absolute() else ROOT / folder, Builds()),
        hub=hub,
        live=Live(connect, hub, beat, newest, newest_logs, is_genuine),
        publisher=Publisher(connect),
        issuers=Issuers(config),
        limits=Limits(config.limits_of_users, config.limits_of_teams),
    ).install(app)
