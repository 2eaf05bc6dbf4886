"""Ports for services on 127.0.0.1: chosen once, kept in the data folder, and refused plainly when somebody has them."""

import random
import socket

from services.errors import ServiceError

# Below the range from which Linux gives outgoing connections their port: a client that retries there
# can connect to itself and so keep a restarting service from its own port.
LOWEST, HIGHEST = 20_000, 32_000
HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def free_ports(count: int, taken: set[int]) -> list[int]:
    """That many different free ports; random, so that two test runs rarely try the same one."""
    found: list[int] = []
    for port in random.sample(range(LOWEST, HIGHEST), 2000):
        if len(found) == count:
            break
        if port not in taken and is_free(port):
            found.append(port)
    if len(found) < count:
        raise ServiceError(f"There are no free ports on {HOST} between {LOWEST} and {HIGHEST}.")
    return found


def require_free(port: int, what: str, variable: str) -> None:
    """Raises a sentence that names the port and the variable when another program listens there."""
    if not is_free(port):
        example = f"{HOST}:<port>" if variable.endswith("BIND") else "<port>"
        raise ServiceError(
            f"Port {port}, wanted for {what}, is used by another program. End that program, or choose another port "
            f"with {variable}={example}."
        )
