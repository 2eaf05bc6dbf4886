"""`python -m node.bridge PARENT_PID`: the bridge of a node, which ends with the process that started it."""

import asyncio
import ctypes
import faulthandler
import fcntl
import logging
import os
import signal
import sys
import threading

from websockets.asyncio.server import Server

from node.config import Config
from node.shim import PR_SET_PDEATHSIG
from wire import log_lines

from .recording import recover
from .server import Bridge
from .states import States

log = logging.getLogger("node.bridge")
TAKEN = (
    "No environment can connect to the bridge, trainings go on without it: %s is not to be had (%s). "
    "Is there another node on this machine? Give each its own BRIDGE_ADDRESS."
)
RETRY_SECONDS = 3.0
LAST_SECONDS = 3.0
"""For what is still to be written when the bridge is told to end."""
STUCK_SECONDS = 30.0
"""A bridge that has not moved for so long, say on a disk that hangs, ends: a build that waits for it does not step."""


def main(arguments: list[str]) -> None:
    """Until SIGTERM, or until the parent is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if arguments and os.getppid() != int(arguments[0]):
        return  # it had gone before the line above
    log_lines.install()
    logging.basicConfig(level=logging.INFO, format="[%(asctime)s: %(levelname)s/bridge] %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    # that somebody spoke something else than WebSocket is no news, least of all the traceback
    logging.getLogger("websockets.server").addFilter(lambda record: record.msg != "opening handshake failed")
    config = Config.from_environment()
    config.attempts_dir.mkdir(parents=True, exist_ok=True)
    with (config.attempts_dir / "bridge.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the bridge before this one may still be writing
        recover(config.attempts_dir)
        asyncio.run(_serve(config))


async def _serve(config: Config) -> None:
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    states = States(config, f"bridge {config.node_name}:{os.getpid()}")
    bridge = Bridge(config.attempts_dir, states, int(config.bridge_max_message_mb * 2**20))
    moving = asyncio.create_task(_keep_moving())
    server = await _listen(bridge, config, ending)
    await ending.wait()
    moving.cancel()
    _end_surely()
    if server:
        server.close()
        await server.wait_closed()
    states.close()


async def _listen(bridge: Bridge, config: Config, ending: asyncio.Event) -> Server | None:
    """Listens as soon as the address is to be had. None when told to end before."""
    while not ending.is_set():
        try:
            server = await bridge.listen(*config.bridge_listen)
        except OSError as error:
            log.warning(TAKEN, config.bridge_address, error.strerror)
            await _pause(ending)
        else:
            log.info("Environments may connect at %s.", config.bridge_address)
            return server
    return None


async def _pause(ending: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(ending.wait(), RETRY_SECONDS)
    except TimeoutError:
        return


async def _keep_moving() -> None:
    while True:
        faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
        await asyncio.sleep(STUCK_SECONDS / 6)


def _end_surely() -> None:
    timer = threading.Timer(LAST_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main(sys.argv[1:])
