"""What must not be open to others: combinations of settings with which no program starts, named in the refusal.

A setting that looks careless on a machine of one's own is refused where others reach that machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from .accounts.issuers import sessions
from .accounts.issuers.signed import BY_KEY
from .config import Config
from .errors import BadConfiguration

WELL_KNOWN = {
    "change-me", "changeme", "password", "passw0rd", "secret", "admin", "administrator", "root", "test", "guest",
    "postgres", "rabbitmq", "flower", "minio", "minioadmin", "minio123", "rustfsadmin", "train_jobs", "123456",
}  # fmt: skip
"""Passwords that everybody tries first."""
LEAST_SECRET_BYTES = 32
SHORT = (f"it is shorter than {LEAST_SECRET_BYTES} bytes: whoever has one token could find it out by trying. "
         "`openssl rand -base64 48` makes a good one")  # fmt: skip
KEYS_BEGIN = ("-----BEGIN", "ssh-", "ecdsa-", "{")
FOR_OTHERS = (
    "it is not set, while an outside issuer's tokens are taken: those that it signs for others would be good here"
)
FAMOUS = "its password is one that everybody knows, while {} is open to other machines. Choose one of your own"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is refused: the variable to name, when, and what to do instead."""

    variable: str
    is_broken: Callable[[Config], bool]
    sentence: str


RULES = (
    Rule("DATABASE_URL", lambda its: is_open(its) and _is_well_known(_password(its.database_url)),
         FAMOUS.format("the web")),
    Rule("BROKER_URL", lambda its: is_open(its) and _is_well_known(_password(its.broker_url)),
         FAMOUS.format("the web")),
    Rule("BROKER_API", lambda its: is_open(its) and _is_well_known(_password(its.broker_api)),
         FAMOUS.format("the web")),
    Rule("FLOWER_BROKER_API", lambda its: is_open(its) and _is_well_known(_password(its.flower_broker_api)),
         FAMOUS.format("the web")),
    Rule("S3_SECRET_ACCESS_KEY", lambda its: is_open(its) and _is_well_known(its.s3_secret_access_key),
         "it is one that everybody knows, while the web is open to other machines. Choose one of your own"),
    Rule("FLOWER_BASIC_AUTH", lambda its: is_public(its.flower_address) and not its.flower_basic_auth,
         "there is none, while FLOWER_ADDRESS is open to other machines. Set it to user:password"),
    Rule("FLOWER_BASIC_AUTH", lambda its: is_public(its.flower_address) and _is_well_known(its.flower_basic_auth),
         FAMOUS.format("FLOWER_ADDRESS")),
    Rule("PUBLIC_URL", lambda its: its.public_url.startswith("http:") and is_public(urlsplit(its.public_url).netloc),
         "tokens would travel in plain http, readable on the way. Put a TLS proxy before the web, and say https://..."),
    Rule("TRUSTED_PROXIES", lambda its: _is_everybody(its.trusted_proxies),
         "it believes everybody, so anybody could say that he comes from any address. Name your proxies' addresses"),
    Rule("ALLOWED_ORIGINS", lambda its: is_open(its) and its.allowed_origins == "*",
         "it is '*', so that every web page may use the API by its visitors' browsers, while the web is open to other "
         "machines. Name the origins of your games"),
    Rule("AUTH_JWT_SECRET", lambda its: _is_short(its.auth_jwt_secret), SHORT),
    Rule("NEXTAUTH_SECRET", lambda its: _is_short(its.nextauth_secret), SHORT),
    Rule("AUTH_JWT_SECRET", lambda its: bool(its.auth_jwt_secret and its.auth_jwks_url),
         "it is set beside AUTH_JWKS_URL. An issuer signs by its keys or by a secret: set one of them"),
    Rule("AUTH_JWT_SECRET", lambda its: its.auth_jwt_secret.lstrip().startswith(KEYS_BEGIN),
         "it is a key, whose public half others know, and not a secret. Keys are published, for AUTH_JWKS_URL"),
    Rule("AUTH_JWKS_URL", lambda its: bool(its.auth_jwks_url) and not _is_private(its.auth_jwks_url),
         "it is not https, so others could put their keys in place of the issuer's. http is for this machine only"),
    Rule("AUTH_ISSUER", lambda its: _takes_signed(its) and not its.auth_issuer, FOR_OTHERS),
    Rule("AUTH_AUDIENCE", lambda its: _takes_signed(its) and not its.auth_audience.strip(", "), FOR_OTHERS),
    Rule("AUTH_ALGORITHMS", lambda its: bool(its.auth_jwks_url) and not _are_public(its.auth_algorithms),
         f"it names others than {', '.join(BY_KEY)}. By 'none' everybody could sign, and by a secret's algorithm "
         "whoever knows the public key"),
    Rule("AUTH_ISSUER", lambda its: bool(its.nextauth_secret) and its.auth_issuer == sessions.ISSUER,
         f"{sessions.ISSUER!r} is what the users of NEXTAUTH_SECRET are known by"),
)  # fmt: skip


def check(config: Config) -> None:
    """Raises BadConfiguration with a sentence for each rule that is broken."""
    broken = [f"{rule.variable}: {rule.sentence}." for rule in RULES if rule.is_broken(config)]
    if broken:
        raise BadConfiguration(f"This would be unsafe, so nothing is started. {' '.join(broken)} See env.sample.")


def openings(config: Config) -> list[str]:
    """What the operator has opened by a setting: a sentence each, told at start."""
    told = []
    if config.serve_games_without_token:
        told.append(
            "SERVE_GAMES_WITHOUT_TOKEN is on: whoever knows a run_id can watch that run and fetch its newest model "
            "without a token. Everything else needs one."
        )
    if config.allowed_origins == "*":
        told.append("ALLOWED_ORIGINS is '*': web pages of any origin may use the API, with a token of their own.")
    if is_public(config.web_bind) and not config.public_url:
        told.append(
            "WEB_BIND is open to other machines, and speaks plain http: put a TLS proxy before it, and name the two in "
            "PUBLIC_URL and TRUSTED_PROXIES."
        )
    if _takes_signed(config):
        told.append(f"AUTH_ISSUER is set: users of {config.auth_issuer!r} may come, of whom nobody here has heard "
                    f"before; their scope is '{config.auth_scope}'.")  # fmt: skip
    if config.nextauth_secret:
        told.append("NEXTAUTH_SECRET is set: users who sign in there may come, of whom nobody here has heard before; "
                    f"their scope is '{config.auth_scope}'.")  # fmt: skip
    return told


def is_open(config: Config) -> bool:
    """Whether other machines reach the web: at its own address, or by a proxy before it."""
    by_proxy = bool(config.trusted_proxies) or (
        bool(config.public_url) and is_public(urlsplit(config.public_url).netloc)
    )
    return by_proxy or is_public(config.web_bind)


def is_public(address: str) -> bool:
    """Whether other machines can reach what listens there: "host:port", a host, or "unix:path"."""
    if address.startswith("unix:"):
        return False
    host = urlsplit(f"//{address}").hostname or ""
    if host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def _is_everybody(proxies: str) -> bool:
    return any(word.strip() == "*" or word.strip().endswith("/0") for word in proxies.split(","))


def _is_short(secret: str) -> bool:
    return 0 < len(secret.encode()) < LEAST_SECRET_BYTES


def _takes_signed(its: Config) -> bool:
    return bool(its.auth_jwks_url or its.auth_jwt_secret)


def _is_private(url: str) -> bool:
    """Whether nobody on the way can change what comes from there."""
    try:
        parts = urlsplit(url)
        is_named = bool(parts.hostname) and parts.port != 0  # reading a port may fail
    except ValueError:
        return False
    return is_named and (parts.scheme == "https" or (parts.scheme == "http" and not is_public(parts.netloc)))


def _are_public(algorithms: str) -> bool:
    return {word.strip() for word in algorithms.split(",")} <= {*BY_KEY}


def _password(url: str) -> str:
    return unquote(urlsplit(url).password or "")


def _is_well_known(secret: str) -> bool:
    """Of a password, or of logins as user:password, divided by commas."""
    return any(one.rpartition(":")[2].strip().lower() in WELL_KNOWN for one in secret.split(","))
