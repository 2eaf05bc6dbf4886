"""What must not be open to others: combinations of settings with which no program starts, named in the refusal.

A setting that looks careless on a machine of one's own is refused where others reach that machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from .config import Config
from .errors import BadConfiguration

WELL_KNOWN = {"change-me", "changeme", "password", "secret", "admin", "guest", "postgres", "minioadmin", "train_jobs"}
"""Passwords that everybody tries first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is refused: the variable to name, when, and what to do instead."""

    variable: str
    is_broken: Callable[[Config], bool]
    sentence: str


RULES = (
    Rule("DATABASE_URL", lambda its: is_public(its.web_bind) and _is_well_known(_password(its.database_url)),
         "its password is one that everybody knows, while WEB_BIND is open to other machines. Choose one of your own"),
    Rule("BROKER_URL", lambda its: is_public(its.web_bind) and _is_well_known(_password(its.broker_url)),
         "its password is one that everybody knows, while WEB_BIND is open to other machines. Choose one of your own"),
    Rule("S3_SECRET_ACCESS_KEY", lambda its: is_public(its.web_bind) and _is_well_known(its.s3_secret_access_key),
         "it is one that everybody knows, while WEB_BIND is open to other machines. Choose one of your own"),
    Rule("FLOWER_BASIC_AUTH", lambda its: is_public(its.flower_address) and not its.flower_basic_auth,
         "there is none, while FLOWER_ADDRESS is open to other machines. Set it to user:password, or FLOWER_ADDRESS to "
         "127.0.0.1"),
    Rule("FLOWER_BASIC_AUTH", lambda its: is_public(its.flower_address) and _is_well_known(its.flower_basic_auth),
         "its password is one that everybody knows, while FLOWER_ADDRESS is open to other machines. Choose one of your "
         "own"),
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
        told.append("ALLOWED_ORIGINS is '*': web pages of any origin may open WebSockets, with a token of their own.")
    return told


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


def _password(url: str) -> str:
    return unquote(urlsplit(url).password or "")


def _is_well_known(secret: str) -> bool:
    """Of a password, or of logins as user:password, divided by commas."""
    return any(one.rpartition(":")[2].strip().lower() in WELL_KNOWN for one in secret.split(","))
