"""The WebSocket that builds connect to: finds out whose each connection is, hands out the job, takes what comes."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from wire.names import BRIDGE_PATH

from . import attempts, words
from .attempts import Attempt
from .peers import mark_of
from .recording import Recording, Track
from .states import State, States

log = logging.getLogger(__name__)
NOT_TEXT, STRANGER, TOO_MANY = 1003, 1008, 1013
MOST_CONNECTIONS = 256
"""Of one attempt."""
FRAMES = 2
"""Read ahead of a connection; the kernel holds back a build that sends more."""


class Bridge:
    """All connections of one node's builds."""

    def __init__(self, folder: Path, states: States, max_message_bytes: int) -> None:
        self._folder, self._states, self._max_bytes = folder, states, max_message_bytes
        self._talks: dict[str, Talks] = {}

    async def listen(self, host: str, port: int) -> Server:
        """Raises OSError where the address is taken."""
        return await serve(
            self._welcome, host, port, process_request=_check_path, max_size=self._max_bytes, max_queue=FRAMES,
            compression=None, ping_interval=None, close_timeout=1, server_header=None,
        )  # fmt: skip

    async def _welcome(self, socket: ServerConnection) -> None:
        attempt = await asyncio.to_thread(self._whose, socket.remote_address, socket.local_address)
        if attempt is None:
            log.warning("A program that belongs to no training of this node has connected and was sent away.")
            return await socket.close(STRANGER, "This bridge is for the environments of this node's trainings.")
        talks = self._talks.get(attempt.mark) or self._talks.setdefault(attempt.mark, Talks(Recording(attempt)))
        if len(talks.instances) >= MOST_CONNECTIONS:
            return await socket.close(TOO_MANY, f"One training may have {MOST_CONNECTIONS} connections.")
        with self._instance(attempt, talks) as instance:
            await Talk(socket, attempt, instance, self._states).hold(talks.recording)
        return None

    def _whose(self, peer: Any, ours: Any) -> Attempt | None:
        mark = mark_of(peer[:2], ours[:2])
        return attempts.find(self._folder, mark) if mark else None

    @contextmanager
    def _instance(self, attempt: Attempt, talks: "Talks") -> Iterator[int]:
        """The lowest number that no other connection of the attempt has."""
        number = talks.join()
        try:
            yield number
        finally:
            talks.instances.remove(number)
            if not talks.instances:
                del self._talks[attempt.mark]


class Talks:
    """The connections of one attempt."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.instances: set[int] = set()

    def join(self) -> int:
        number = next(n for n in range(len(self.instances) + 1) if n not in self.instances)
        self.instances.add(number)
        return number


class Talk:
    """One connection, from the job's config to its end."""

    def __init__(self, socket: ServerConnection, attempt: Attempt, instance: int, states: States) -> None:
        self._socket, self._attempt, self._instance, self._states = socket, attempt, instance, states
        self._name = f"Environment {instance} of run {attempt.run_id}"
        self._refused = 0

    async def hold(self, recording: Recording) -> None:
        """Until the build has gone. Never raises for what a build does."""
        log.info("%s has connected.", self._name)
        with Track(recording, self._instance) as track:
            try:
                await self._socket.send(words.config(self._attempt.train_job))
                await self._socket.recv(decode=True)  # that it is ready, in words of its own
                await self._relay(track)
            except ConnectionClosed as closed:
                log.info("%s has gone (%s), %s messages were refused.", self._name, closed, self._refused)

    async def _relay(self, track: Track) -> None:
        while True:
            text = await self._socket.recv()
            if isinstance(text, bytes):
                log.warning("%s has sent a binary message and is cut off.", self._name)
                return await self._socket.close(NOT_TEXT, "Binary messages are not for this bridge: send JSON as text.")
            try:
                word = words.read(text)
            except words.NotRelayed as why:
                self._refuse(why)
                continue
            if self._attempt.is_check:
                continue
            self._states.say(State(self._attempt.run_id, self._attempt.attempt, self._instance, word.content))
            track.take(word)

    def _refuse(self, why: words.NotRelayed) -> None:
        """Tells of the 1st, 10th, 100th ... such message."""
        self._refused += 1
        if str(self._refused).strip("0") == "1":
            log.warning("%s has sent a message that is not relayed (number %s): %s", self._name, self._refused, why)


def _check_path(socket: ServerConnection, request: Request) -> Response | None:
    if request.path.partition("?")[0].rstrip("/") == BRIDGE_PATH:
        return None
    return socket.respond(404, f"The bridge is at {BRIDGE_PATH}.\n")
