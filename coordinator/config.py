"""Every setting of the coordinator: its variable, its default, its meaning. The only reader of the environment here.

`env.sample` lists the same variables for people; a test holds the two together.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from wire import tls
from wire.variables import read_settings, setting

from .errors import BadConfiguration
from .limiting.limit_kinds import FORM


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One field per environment variable, in upper case there. `NAME_FILE` names a file that holds the value."""

    database_url: str = setting(
        "",
        "PostgreSQL, as postgresql://user:password@host:port/name",
        begins=("postgresql://", "postgresql+psycopg2://", "postgres://"),
    )
    broker_url: str = setting(
        "", "RabbitMQ, as amqp://user:password@host:port/vhost; amqps:// with TLS", begins=("amqp://", "amqps://")
    )
    broker_ca_file: str = setting("", "certificates of those who sign RabbitMQ's, as PEM; empty: the system's")
    broker_cert_file: str = setting("", "our own certificate for RabbitMQ, as PEM, where it asks for one")
    broker_key_file: str = setting("", "the key of that certificate")
    broker_public_url: str = setting(
        "", "RabbitMQ as nodes reach it, as amqp://host:port/vhost; empty for the same address",
        begins=("amqp://", "amqps://"),
    )  # fmt: skip
    broker_api: str = setting(
        "", "RabbitMQ's management API, by which nodes get their users, as http://user:password@host:port/api/; empty: "
        "the commands for that are printed", begins=("http://", "https://"),
    )  # fmt: skip
    s3_endpoint_url: str = setting("", "S3 as the coordinator reaches it; empty for Amazon's own")
    s3_public_endpoint_url: str = setting(
        "", "S3 as training nodes and those who upload builds reach it; empty for the same address"
    )
    s3_access_key_id: str = setting("", "S3 credentials")
    s3_secret_access_key: str = setting("", "S3 credentials")
    s3_bucket: str = setting("train-jobs", "the bucket that holds models and checkpoints")
    s3_region: str = setting("us-east-1", "the bucket's region; any value will do for most S3 servers")
    web_bind: str = setting("127.0.0.1:8080", "address and port of the REST API and the WebSocket")
    web_public_url: str = setting(
        "",
        "the web's address as nodes reach it; empty: PUBLIC_URL, or else http:// and WEB_BIND",
        begins=("http://", "https://"),
    )
    web_workers: int = setting(2, "web processes; each serves many games")
    public_url: str = setting(
        "",
        "the web's address as games and browsers know it, as in https://train.example.com",
        form=r"https?://[^/?#@\s]+/?",
    )
    trusted_proxies: str = setting(
        "",
        "addresses or networks, divided by commas, of the reverse proxies whose X-Forwarded-For, -Proto and -Host are "
        "believed; unix: whoever comes by WEB_BIND's socket file",
    )
    serve_games_without_token: bool = setting(
        False, "1 lets old games, which send no token, watch a run and fetch its model by run_id alone"
    )
    allowed_origins: str = setting(
        "",
        "origins of web pages that may use the API and open WebSockets, divided by commas, as in "
        "https://play.example.com; *: all; empty: those of the API's own host",
        form=r"\*|https?://[^/,\s]+/?(\s*,\s*https?://[^/,\s]+/?)*",
    )
    auth_jwks_url: str = setting(
        "",
        "where an outside issuer's public keys lie (JWKS), as https://login.example.com/keys; its users may come then",
        form=r"https?://[^\s/?#@]+(/\S*)?",
    )
    auth_jwks_seconds: float = setting(30.0, "how often the keys are fetched at most for a key that is not known")
    auth_jwt_secret: str = setting("", "instead of its keys: the secret, of 32 bytes or more, shared with the issuer")
    auth_issuer: str = setting("", "what the tokens' `iss` must be")
    auth_audience: str = setting("", "what the tokens' `aud` must have: one of these, divided by commas")
    auth_algorithms: str = setting("RS256,ES256", "how the issuer may sign by its keys, divided by commas")
    auth_name_claim: str = setting("name", "the claim that says what a user from outside is called")
    auth_scope: str = setting("write", "what users from outside may: read, write or admin", form="read|write|admin")
    nextauth_secret: str = setting("", "the secret of a NextAuth whose session tokens are taken")
    environments_dir: str = setting("environments", "folder of the environment builds that jobs may name")
    build_max_mb: int = setting(10_240, "largest environment build that may be uploaded, in MB")
    build_max_unpacked_mb: int = setting(51_200, "most that a build may unpack to, in MB")
    build_max_files: int = setting(200_000, "most files of a build")
    max_body_bytes: int = setting(65_536, "largest body of a request, in bytes")
    request_seconds: int = setting(
        75, "how long a client may take to send a request, its headers and then its body, or may be idle before"
    )
    limits_of_users: str = setting(
        "",
        "limits of each user that are not the usual ones, as in jobs_queued=100, sockets=0 (0: none); "
        "docs/protocol.md has all",
        form=FORM,
    )
    limits_of_teams: str = setting("", "the same for a team", form=FORM)
    wrong_tokens_per_minute: int = setting(
        600, "wrong tokens from one address, in each web process, after which it must wait; 0: no limit", zero=True
    )
    max_attempts: int = setting(
        3, "how often a job may fail by its node's fault, for want of memory or by standing still, until it is FAILED"
    )
    max_time_limit: int = setting(
        0, "most seconds for which a job may train, also one that sets no limit; 0 is without end", zero=True
    )
    lease_seconds: float = setting(20.0, "a training whose node is silent for so long is started elsewhere")
    hello_seconds: float = setting(10.0, "how long a WebSocket may wait before it says which run it wants")
    socket_write_seconds: float = setting(10.0, "a WebSocket that takes no data for so long is cut off")
    socket_linger_seconds: float = setting(60.0, "how long it may then still read to the end what was sent to it")
    socket_backlog: int = setting(1_000, "messages kept in memory for one WebSocket before it reads from PostgreSQL")
    socket_states_kb: int = setting(
        4_096, "kB of a build's messages kept in memory for one WebSocket before the oldest are dropped"
    )
    checkpoints_kept: int = setting(5, "newest checkpoints kept of a job, beside the last one of each attempt")
    max_file_mb: int = setting(2_048, "largest file that a training may hand in, in MB; at most 5000")
    recording_max_mb: int = setting(50, "MB of a job's episodes that are recorded at most")
    audit_days: int = setting(
        0, "after so many days an entry of the audit is forgotten; 0 keeps them for good", zero=True
    )
    sweep_seconds: float = setting(3.0, "how often the recorder looks for what is stuck")
    flower_address: str = setting("127.0.0.1", "address on which Flower listens")
    flower_port: int = setting(5555, "port of Flower")
    flower_basic_auth: str = setting("", "Flower's login, as user:password; several are divided by commas")
    flower_broker_api: str = setting(
        "",
        "RabbitMQ's management API, from which Flower reads queues, as http://user:password@host:port/api/",
        begins=("http://", "https://"),
    )
    flower_read_only: bool = setting(True, "0 lets whoever has Flower's login stop `results` and send tasks like ours")
    log_level: str = setting("INFO", "DEBUG, INFO, WARNING or ERROR", words=("DEBUG", "INFO", "WARNING", "ERROR"))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises BadConfiguration, naming every variable that is wrong or missing."""
        values, wrong = read_settings(cls, environment, "database_url", "broker_url")
        its = cls(**values) if not wrong else None
        wrong += tls.wrong(its.broker_url, its.broker_files) if its else ()
        if wrong or its is None:
            raise BadConfiguration(f"The configuration is not complete. {'; '.join(wrong)}. See env.sample.")
        return its

    @property
    def broker_files(self) -> tls.Files:
        """For TLS to RabbitMQ."""
        return tls.Files(self.broker_ca_file, self.broker_cert_file, self.broker_key_file)

    def sqlalchemy_url(self) -> str:
        """The database's address with the driver spelled out: a bare `postgresql://` would mean psycopg 3."""
        scheme, _, rest = self.database_url.partition("://")
        return self.database_url if "+" in scheme else f"postgresql+psycopg2://{rest}"
