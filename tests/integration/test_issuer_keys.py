"""Fetching an issuer's keys from a host that is away, slow, or not what it should be: bounded, and never believed."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from joserfc.jwk import OctKey, RSAKey

from coordinator.accounts.issuers import key_host, keys
from coordinator.accounts.issuers.key_host import fetch
from coordinator.accounts.issuers.keys import Keys, public_keys
from coordinator.errors import Unavailable
from services.ports import free_ports
from tests.issuer import KeyServer, elliptic, key_server, published, rsa


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server(rsa()) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_host, "STEP_SECONDS", 0.3)
    monkeypatch.setattr(key_host, "ALL_SECONDS", 0.5)


def trouble(url: str) -> str:
    with pytest.raises(Unavailable) as caught:
        fetch(url)
    return caught.value.detail


def test_what_lies_there_is_fetched(server: KeyServer) -> None:
    assert fetch(server.url) == published(rsa())
    assert server.paths == ["/keys?of=all"]


def test_a_host_that_is_away_or_unwell_is_told_by_what_it_does(server: KeyServer) -> None:
    (nobody,) = free_ports(1, set())
    assert "refused" in trouble(f"http://127.0.0.1:{nobody}/keys")
    assert "Name or service not known" in trouble("https://nowhere.invalid/keys")
    server.status = 500
    assert trouble(server.url) == "it answered 500"


def test_it_is_not_followed_elsewhere(server: KeyServer) -> None:
    """A redirect would let it choose what this host asks, and without TLS."""
    with key_server(rsa()) as elsewhere:
        server.status, server.header = 302, {"Location": elsewhere.url}
        assert trouble(server.url) == "it answered 302"
        assert elsewhere.paths == []


def test_more_than_keys_need_is_not_read(server: KeyServer) -> None:
    server.content = b" " * (key_host.MOST_BYTES + 1)
    assert trouble(server.url) == "it sent more than 262144 bytes"


def test_a_silent_host_is_left(server: KeyServer, impatient: None) -> None:
    server.gate.clear()
    assert trouble(server.url) == "timed out"


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1"])
def test_one_that_sends_a_byte_now_and_then_is_left_too(impatient: None, start: bytes) -> None:
    def drip(client: socket.socket) -> None:
        client.sendall(start)
        while True:
            client.sendall(b"x")
            time.sleep(0.1)

    with listening(drip) as port:
        began = time.monotonic()
        assert trouble(f"http://127.0.0.1:{port}/keys")
        assert time.monotonic() - began < 5


def test_a_host_that_cannot_prove_its_name_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path / "host.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def answer(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as its:
            its.recv(1_000)
            its.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + published(rsa()))

    with listening(answer) as port:
        assert "CERTIFICATE_VERIFY_FAILED" in trouble(f"https://localhost:{port}/keys")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert fetch(f"https://localhost:{port}/keys") == published(rsa())
        assert "CERTIFICATE_VERIFY_FAILED" in trouble(f"https://127.0.0.1:{port}/keys")


@pytest.mark.parametrize("content", [
    b"", b"<html>", b"[]", b"{}", b'{"keys": 7}', b'{"keys": []}', b'{"keys": [7, null, {}, {"kty": "EC"}]}',
    b"[" * 100_000, b"\xff",
    json.dumps({"keys": [OctKey.import_key(b"a secret, not a public key ......").as_dict(private=True)]}).encode(),
    json.dumps({"keys": [rsa().as_dict(private=False) | {"use": "enc"}]}).encode(),
], ids=range(11))  # fmt: skip
def test_what_is_no_set_of_public_keys_is_refused(content: bytes) -> None:
    with pytest.raises(Unavailable):
        public_keys(content)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_among_good_keys_those_of_no_use_are_left_out() -> None:
    short = RSAKey.generate_key(1024, {"kid": "short"}).as_dict(private=False)
    listed = [*json.loads(published(rsa(), elliptic()))["keys"], short, {"kty": "AKP", "kid": "new"}, {"kty": "RSA"}]
    assert [key.kid for key in public_keys(json.dumps({"keys": listed}).encode())] == ["rsa-1", "ec-1"]


def test_a_request_does_not_wait_for_long(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "WAIT_SECONDS", 0.2)
    server.gate.clear()
    its = Keys(server.url, 30.0, fetch)
    with pytest.raises(Unavailable):
        its.having("rsa-1")
    server.gate.set()
    assert its.having("rsa-1")  # what was on its way has come
    assert len(server.paths) == 1


@contextmanager
def listening(serve: Callable[[socket.socket], Any]) -> Iterator[int]:
    """A port at which each client is served that way."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=[client], daemon=True).start()

    def one(client: socket.socket) -> None:
        with client:
            try:
                serve(client)
            except OSError:
                return  # it has left

    threading.Thread(target=run, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def self_signed(path: Path) -> Path:
    """A certificate for localhost that only its own file vouches for, with its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    made = builder.sign(key, SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return path
