"""TLS before a PostgreSQL that was built without: whoever asks for it gets it, and what comes inside is passed on."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TLS_REQUEST, OTHERS = 80877103, b"N"


@contextmanager
def tls_before(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """The port where it is spoken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, context, port), daemon=True).start()
        yield server.getsockname()[1]


def _serve(server: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:  # the test has ended
            return
        threading.Thread(target=_pass_on, args=(client, context, port), daemon=True).start()


def _pass_on(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    try:
        while struct.unpack("!II", client.recv(8))[1] != TLS_REQUEST:
            client.sendall(OTHERS)
        client.sendall(b"S")
        secured = context.wrap_socket(client, server_side=True)
    except (OSError, struct.error):  # it does not trust us, or wants something else
        client.close()
        return
    database = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=_copy, args=(secured, database), daemon=True).start()
    _copy(database, secured)


def _copy(there: socket.socket, here: socket.socket) -> None:
    """Until one of them ends; so does then the other."""
    with suppress(OSError):
        while piece := there.recv(65_536):
            here.sendall(piece)
    here.close()
