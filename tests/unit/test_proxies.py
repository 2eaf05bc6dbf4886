"""Whom a request comes from, as far as the operator's proxies can be believed."""

from collections.abc import Iterable
from typing import Any

import pytest

from coordinator.api.proxies import CAME_BY_PROXY, Proxies, ProxiesMiddleware
from coordinator.errors import BadConfiguration

GAME, OTHER = "203.0.113.9", "198.51.100.7"


def seen(named: str, peer: str, **headers: str) -> dict[str, Any]:
    """What the app sees of a request."""
    found: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        found.update(environ)
        return []

    its = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_HOST": "web:8080", **its}
    ProxiesMiddleware(app, Proxies(named))(environ, None)
    return found


@pytest.mark.parametrize(("peer", "said", "client"), [
    ("127.0.0.1", GAME, GAME),
    ("127.0.0.1", f"{OTHER}, {GAME}", GAME),  # what the game itself wrote is before what the proxy adds
    ("127.0.0.1", f"127.0.0.1, {GAME}", GAME),
    ("127.0.0.1", f"{GAME}, 10.0.0.7", GAME),  # two proxies in a row
    ("10.0.0.7", f"{GAME}:4711", GAME),
    ("::ffff:10.0.0.7", GAME, GAME),
    ("127.0.0.1", "[2001:db8::9]:4711", "2001:db8::9"),
    ("127.0.0.1", "2001:db8::9", "2001:db8::9"),
    ("127.0.0.1", "", "127.0.0.1"),
    ("127.0.0.1", "unknown", "127.0.0.1"),
    ("127.0.0.1", f"{GAME}, <script>", "127.0.0.1"),
    (GAME, OTHER, GAME),  # no proxy of ours
    (f"::ffff:{GAME}", OTHER, GAME),  # where the web listens to both kinds of addresses
    ("10.0.1.7", OTHER, "10.0.1.7"),
])  # fmt: skip
def test_the_client_is_the_first_that_is_no_proxy(peer: str, said: str, client: str) -> None:
    assert seen("127.0.0.1,10.0.0.0/24", peer, x_forwarded_for=said)["REMOTE_ADDR"] == client


def test_nobody_is_believed_where_nobody_is_named() -> None:
    found = seen("", "127.0.0.1", x_forwarded_for=GAME, x_forwarded_proto="https", x_forwarded_host="evil.example")
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"], found["HTTP_HOST"]) == ("127.0.0.1", "http", "web:8080")


def test_a_proxy_says_scheme_and_host() -> None:
    found = seen("127.0.0.1", "127.0.0.1", x_forwarded_proto="http, https", x_forwarded_host="evil, train.example.com")
    assert (found["wsgi.url_scheme"], found["HTTP_HOST"]) == ("https", "train.example.com")


@pytest.mark.parametrize("host", ["", "a b", "a/../b", "a\r\nX: y", "<b>", "a" * 300, "a:1:2", "user@host"])
def test_a_host_that_is_none_changes_nothing(host: str) -> None:
    assert seen("127.0.0.1", "127.0.0.1", x_forwarded_host=host)["HTTP_HOST"] == "web:8080"


def test_a_scheme_that_is_none_changes_nothing() -> None:
    assert seen("127.0.0.1", "127.0.0.1", x_forwarded_proto="javascript")["wsgi.url_scheme"] == "http"


def test_a_socket_file_is_believed_where_it_is_named() -> None:
    assert seen("unix", "", x_forwarded_for=GAME)["REMOTE_ADDR"] == GAME
    assert seen("127.0.0.1", "", x_forwarded_for=GAME)["REMOTE_ADDR"] == ""
    assert seen("unix", "127.0.0.1", x_forwarded_for=GAME)["REMOTE_ADDR"] == "127.0.0.1"


def test_what_came_by_a_proxy_is_marked_whoever_the_proxy_is() -> None:
    assert seen("127.0.0.1", "127.0.0.1")[CAME_BY_PROXY]  # it may add no header at all
    for mark in ("forwarded", "x_forwarded_for", "x_forwarded_host", "x_forwarded_proto", "x_real_ip", "via"):
        assert seen("", "127.0.0.1", **{mark: "x"})[CAME_BY_PROXY]
    assert not seen("", "127.0.0.1")[CAME_BY_PROXY]
    assert not seen("unix", GAME)[CAME_BY_PROXY]


@pytest.mark.parametrize("named", ["nginx", "127.0.0.1;10.0.0.1", "10.0.0.0/33", "*"])
def test_what_is_no_address_is_refused_by_name(named: str) -> None:
    with pytest.raises(BadConfiguration, match="TRUSTED_PROXIES"):
        Proxies(named)
