"""The WebSocket of games: hello, then every event of the run in order, at the end the model, then good-bye."""

import logging
from collections.abc import Callable
from contextlib import closing
from uuid import UUID

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue
from simple_websocket import ConnectionClosed, Server
from wsproto.utilities import RemoteProtocolError

from .. import logs, messages, queries
from ..errors import BadRequest, CoordinatorError, Gone, NotFound, TooMany, Unavailable
from ..extensions import db, sock
from ..lifecycle import JobState
from ..live.hub import Item, Subscription
from ..live.logs import LogStream
from ..live.stream import follow
from ..live.subscription import Place
from ..parts import Parts, parts
from . import admission, pacing
from .admission import Admission
from .answers import AWAY, DATABASE_AWAY
from .auth import Door, needs
from .framing import (
    GOING_AWAY,
    NORMAL,
    POLICY,
    TRY_AGAIN,
    ignore_what_comes,
    let_the_silent_come_back,
    send_binary,
    send_text,
    wait_for_farewell,
)
from .replay import replay
from .schemas import Hello, parse

log = logging.getLogger(__name__)
blueprint = Blueprint("socket", __name__)
LOOK_AROUND_SECONDS = 2.0
"""How often a socket on which nothing happens looks whether the process goes on and its token is still good."""


@sock.route("/ws/v1/client-stream", bp=blueprint)
@needs(Door.ITS_OWN)
def client_stream(ws: Server) -> None:
    """One game's connection, from its hello to its end."""
    its = parts(current_app)
    let_the_silent_come_back(ws)
    try:
        hello = _hello(ws, its.config.hello_seconds)
        admitted = admission.admit(hello, its.config)
        after = _begin(hello, admitted.watched)
        with pacing.socket_of(admitted.who):
            ignore_what_comes(ws)
            _replay(ws, its, hello, admitted) if hello.episode else _serve(ws, its, admitted, after, hello.logs)
    except Gone as error:
        _refuse(ws, error, POLICY)
    except (Unavailable, TooMany) as error:
        _refuse(ws, error, TRY_AGAIN)
    except CoordinatorError as error:
        _refuse(ws, error, POLICY)
    except DATABASE_AWAY as error:
        log.warning("PostgreSQL is away: %s", str(error).splitlines()[0])
        _refuse(ws, Unavailable(AWAY), TRY_AGAIN)
    except (ConnectionClosed, OSError) as error:
        log.debug("A game has left: %s", error)
    except Exception:  # Flask would answer with HTTP, in the middle of a WebSocket
        log.exception("A WebSocket failed unexpectedly.")
        _refuse(ws, Unavailable("Something went wrong here; it has been logged. Connect again."), TRY_AGAIN)
    finally:
        db.session.remove()
        wait_for_farewell(ws, its.config.socket_write_seconds, lambda: its.hub.draining)


@blueprint.before_request
def check_origin() -> None:
    """A web page of somewhere else opens no socket here, unless the operator allows it. Raises NotAllowed."""
    admission.check_origin(parts(current_app).config)


@blueprint.errorhandler(RemoteProtocolError)
@blueprint.errorhandler(UnicodeError)
def no_handshake(error: Exception) -> ResponseReturnValue:
    """A request to become a WebSocket that lacks what such a request needs, or has what none may have."""
    return jsonify(detail=f"This is no WebSocket handshake: {error}.", code="bad_handshake"), 400


@blueprint.errorhandler(OSError)
def has_left(error: OSError) -> ResponseReturnValue:
    """The client did not wait for the end of its handshake: nobody reads this."""
    log.debug("A game has left during its handshake: %s", error)
    return jsonify(detail="You have left.", code="bad_handshake"), 400


def _hello(ws: Server, seconds: float) -> Hello:
    raw = ws.receive(timeout=seconds)
    if raw is None:
        raise BadRequest(f'No hello came within {seconds:.0f} s. Send {{"run_id": "<uuid>"}} first.')
    if not isinstance(raw, str):
        raise BadRequest('The hello must be a text message: {"run_id": "<uuid>"}.')
    return parse(Hello, raw)


def _begin(hello: Hello, watched: queries.Watched) -> int:
    """The number after which to begin."""
    if hello.after is None:
        return watched.replay_from
    if hello.after > watched.last_seq:
        raise BadRequest(
            f"after: The newest message of this run has the number {watched.last_seq}, so nothing can come after "
            f"{hello.after}."
        )
    return hello.after


def _replay(ws: Server, its: Parts, hello: Hello, admitted: Admission) -> None:
    if replay(ws, its, hello, admitted):
        ws.close(NORMAL)
    else:
        ws.close(GOING_AWAY, "The server restarts; connect again.")


def _serve(ws: Server, its: Parts, admitted: Admission, after: int, with_log: bool) -> None:
    watched, run_id = admitted.watched, admitted.watched.run_id
    subscription = its.hub.subscribe(run_id, watched.attempt)
    try:
        log_stream = LogStream(subscription, watched.attempt, _log_reader(run_id)) if with_log else None
        is_complete = _send_events(ws, its, subscription, after, log_stream, admitted)
    finally:
        its.hub.unsubscribe(subscription)
    if not is_complete:
        ws.close(GOING_AWAY, "The server restarts; connect again with the last seq as 'after'.")
        return
    if model := queries.newest_artifact(run_id, "model") if _has_succeeded(run_id) else None:
        key, size = model.key, model.size
        db.session.remove()
        with closing(its.storage.read(key, size)) as chunks:  # type: ignore[type-var]
            send_binary(ws, chunks, admitted.check)
    ws.close(NORMAL)


def _send_events(
    ws: Server, its: Parts, subscription: Subscription, after: int, log_stream: LogStream | None, admitted: Admission
) -> bool:  # fmt: skip
    """Sends events until the last one of the run; False where the process is to stop before that."""
    ended = _has_ended(subscription.run_id, after)
    for items in follow(subscription, after, lambda seq: _read(subscription.run_id, seq), LOOK_AROUND_SECONDS):
        admitted.check()
        _send_log(ws, log_stream)
        for seq, final, frame in items:
            _send_log(ws, log_stream if final else None, to_the_end=True)  # the end is the last that is told
            send_text(ws, frame)
            ended = final if seq else ended
            if final and _has_ended(subscription.run_id, seq):
                return True  # what a build still says is of no interest any more
        if ended and _has_ended(subscription.run_id, subscription.cursor):
            return True
        if its.hub.draining:
            return False
        if not ws.connected:
            raise ConnectionClosed()
    return False


def _send_log(ws: Server, log_stream: LogStream | None, *, to_the_end: bool = False) -> None:
    if log_stream:
        for frame in log_stream.due(to_the_end=to_the_end):
            ws.send(frame)


def _log_reader(run_id: UUID) -> Callable[[Place], list[tuple[Place, str]]]:
    def read(place: Place) -> list[tuple[Place, str]]:
        try:
            return logs.after(run_id, place)
        finally:
            db.session.remove()

    return read


def _read(run_id: UUID, seq: int) -> list[Item]:
    try:
        return [*queries.events_after(run_id, seq)]
    finally:
        db.session.remove()  # no socket keeps a connection to the database while it waits


def _has_ended(run_id: UUID, seq: int) -> bool:
    """Whether the run has ended and nothing follows this number: a run that was resumed goes on."""
    try:
        watched = queries.watched(run_id, None)
        return watched.state.is_final and watched.last_seq <= seq
    except NotFound:
        return True  # it was deleted: nothing follows
    finally:
        db.session.remove()


def _has_succeeded(run_id: UUID) -> bool:
    try:
        return queries.watched(run_id, None).state is JobState.SUCCEEDED
    except NotFound:
        return False


def _refuse(ws: Server, error: CoordinatorError, code: int) -> None:
    try:
        ws.send(messages.error(error.detail, error.code))
        ws.close(code, error.detail[:120])
    except (ConnectionClosed, OSError):
        log.debug("A game left before it could be told: %s", error.detail)
