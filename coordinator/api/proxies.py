"""Who really asks, where a reverse proxy passes requests on: those that the operator names are believed, nobody else.

From here on REMOTE_ADDR is the client's address: for limits, for the audit, for tokens that are good on one machine.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from ..errors import BadConfiguration

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
UNIX = "unix"
"""In TRUSTED_PROXIES: whoever comes by the socket file of WEB_BIND."""
MARKS = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP",
         "HTTP_VIA")  # fmt: skip
"""Of a request that came by a proxy, whether or not that is one of ours."""
CAME_BY_PROXY = "coordinator.came_by_proxy"
HOST = re.compile(r"[A-Za-z0-9.-]{1,255}(:\d{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:\d{1,5})?")


class Proxies:
    """The proxies that are believed: networks, and whether the socket file is one."""

    def __init__(self, named: str) -> None:
        """Raises BadConfiguration for what is no address."""
        words = [word.strip() for word in named.split(",") if word.strip()]
        self._unix = UNIX in words
        try:
            self._networks: list[Network] = [ip_network(word, strict=False) for word in words if word != UNIX]
        except ValueError as error:
            raise BadConfiguration(
                f"TRUSTED_PROXIES must be addresses, networks or 'unix', divided by commas: {error}."
            ) from None

    def trusts(self, peer: str) -> bool:
        """Whether what this peer says of others is believed; "" is one that came by the socket file."""
        address = address_of(peer)
        return self._unix if not peer else address is not None and self._has(address)

    def client(self, peer: str, forwarded_for: str) -> str:
        """The first address, counted from us, that is no proxy's: what stands before it, anybody may have written."""
        found = peer
        for word in reversed(forwarded_for.split(",")):
            address = address_of(word)
            if address is None:
                break
            found = str(address)
            if not self._has(address):
                break
        return found

    def _has(self, address: Address) -> bool:
        return any(address in network for network in self._networks if network.version == address.version)


class ProxiesMiddleware:
    """Puts the client's address, scheme and host into the WSGI environment."""

    def __init__(self, app: Any, proxies: Proxies) -> None:
        self._app, self._proxies = app, proxies

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        peer = environ.get("REMOTE_ADDR", "")
        is_trusted = self._proxies.trusts(peer)
        environ[CAME_BY_PROXY] = is_trusted or any(mark in environ for mark in MARKS)
        if is_trusted:
            peer = self._proxies.client(peer, environ.get("HTTP_X_FORWARDED_FOR", ""))
            if (scheme := _last(environ.get("HTTP_X_FORWARDED_PROTO", ""))) in ("http", "https"):
                environ["wsgi.url_scheme"] = scheme
            if HOST.fullmatch(host := _last(environ.get("HTTP_X_FORWARDED_HOST", ""))):
                environ["HTTP_HOST"] = host
        environ["REMOTE_ADDR"] = str(address_of(peer) or peer)  # one of IPv4 may look like one of IPv6
        return self._app(environ, start_response)


def address_of(text: str) -> Address | None:
    """An address as proxies write it, also with a port; None for anything else."""
    word = text.strip()
    if word.startswith("["):
        word = word[1:].partition("]")[0]
    elif word.count(":") == 1:
        word = word.partition(":")[0]
    try:
        address = ip_address(word)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _last(values: str) -> str:
    """What the proxy nearest to us said."""
    return values.rpartition(",")[2].strip().lower()
