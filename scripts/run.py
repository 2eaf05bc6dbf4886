"""`make run`: services, platform and the sample job, in that order; stays until Ctrl-C and then leaves no process."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from sample.game import Game, GameError
from sample.screen import screen_for
from sample.training import Training
from scripts.platform import Platform
from services.__main__ import DATA_DIR, ports_given
from services.errors import ServiceError
from services.proc import is_alive
from services.process import read_pidfile
from services.stack import Stack

ENV_ID, BEHAVIOUR, STEPS, AREAS, SEED = "reach1d", "Reach1D", 20_000, 8, 1
LOOK_SECONDS = 0.5
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Somebody wants us to end."""


def main() -> int:
    """0 when all went well (with --once: the sample job's model came), 1 after a sentence that says what did not."""
    options = parse()
    console = Console(highlight=False, soft_wrap=True)
    for number in STOP_SIGNALS:
        signal.signal(number, stop_on_signal)
    code = 0
    try:
        with running(options.data, console) as (stack, platform):
            code = 0 if options.no_sample else run_sample(platform, options.data, console)
            tell_addresses(stack, platform, options.data, console)
            if not options.once:
                stay(stack, platform, console)
    except Stopped:
        code = code if options.once else 0
    except (ServiceError, GameError) as error:
        console.print(f"\n{error}", style="red", markup=False)
        code = 1
    return code if tell_leftovers(options.data, console) else 1


def parse() -> argparse.Namespace:
    """The command line: what stands in ARGS of `make run ARGS=...`."""
    parser = argparse.ArgumentParser(
        prog="make run ARGS=...",
        description="Starts everything, trains the sample job, and stays until Ctrl-C.",
        epilog="DATABASE_URL, BROKER_URL and S3_ENDPOINT_URL in the environment replace the services started here. "
        "The file .env is docker compose's and is not read. `make run ONCE=1` is the same as ARGS=--once.",
    )
    parser.add_argument("--once", action="store_true", help="end after the sample job; 0 when its model came, else 1")
    parser.add_argument("--no-sample", action="store_true", help="start everything, train nothing")
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="folder of all data (default: .data)")
    return parser.parse_args()


def stop_on_signal(number: int, frame: FrameType | None) -> None:
    """End in order; further wishes to end change nothing, since the end is already under way."""
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped


@contextmanager
def running(data_dir: Path, console: Console) -> Iterator[tuple[Stack, Platform]]:
    """Services and platform; the services end last, since the platform says good-bye to them."""
    began = time.monotonic()
    console.print("Starting PostgreSQL, RabbitMQ and S3 ...")
    stack = Stack(data_dir, ports_given())
    platform = Platform(data_dir.resolve(), stack.env)
    try:
        stack.start()
        console.print(f"  ready after {time.monotonic() - began:.1f} s. Starting the platform ...")
        platform.prepare()
        platform.start()
        console.print(f"  ready after {time.monotonic() - began:.1f} s; its log is {platform.log}")
        yield stack, platform
    finally:
        console.print("Stopping ...")
        platform.stop()
        stack.stop()
        console.print("Everything has ended.")


def run_sample(platform: Platform, data_dir: Path, console: Console) -> int:
    """Train the sample job as a game asks for it; 0 when its model came."""
    game = Game(platform.url, platform.token)
    run_id = game.submit(ENV_ID, BEHAVIOUR, STEPS, AREAS, SEED)["run_id"]
    console.print(f"Training the sample job {run_id} (environment {ENV_ID}, {STEPS:,} steps):")
    training = Training(STEPS)
    with screen_for(training, console) as screen:
        for message in game.watch(run_id):
            training.take(message)
            screen.show(training)
    console.print(training.summary(), style="green" if training.has_succeeded else "red", markup=False)
    if not training.has_succeeded:
        return 1
    model = data_dir / "sample" / "model.onnx"
    model.parent.mkdir(parents=True, exist_ok=True)
    model.write_bytes(training.model)
    console.print(f"Saved as {model}")
    return 0


def tell_addresses(stack: Stack, platform: Platform, data_dir: Path, console: Console) -> None:
    """Where everything is, and a line to copy."""
    rows = {
        "API": f"{platform.url}/api/v1",
        "WebSocket": f"{platform.url.replace('http', 'ws', 1)}/ws/v1/client-stream",
        "Flower": f"{platform.flower_url}  (login {platform.env['FLOWER_BASIC_AUTH'].replace(':', ', password ', 1)})",
        "RabbitMQ": f"{stack.rabbitmq.management_url}  (login in {stack.kept.path})" if stack.rabbitmq else "yours",
        "Data": str(data_dir),
        "Token": platform.token,
    }
    width = max(map(len, rows))
    console.print("")
    for name, value in rows.items():
        console.print(f"  {name:<{width}}  {value}", markup=False)
    console.print(
        f"\n  curl -H 'Authorization: Bearer {platform.token}' {platform.url}/api/v1/train-jobs\n", markup=False
    )


def stay(stack: Stack, platform: Platform, console: Console) -> None:
    """Until somebody ends us; raises when a program ends by itself."""
    console.print("Running. Ctrl-C ends everything.")
    while platform.process.running:
        for service in stack.services:
            if not service.running:
                raise ServiceError(f"{service.name} ended by itself. Its log ends with:\n{service.process.tail}")
        time.sleep(LOOK_SECONDS)
    raise ServiceError(platform.death() or f"The platform ended by itself. Its log ends with:\n{platform.process.tail}")


def tell_leftovers(data_dir: Path, console: Console) -> bool:
    """Whether everything has ended; the guards remove their pid files when nothing of theirs is left."""
    found = [read_pidfile(path) for path in sorted((data_dir / "run").glob("*.pid"))]
    alive = [known[0] for each in found for known in each.values() if is_alive(known)]
    if alive:
        console.print(f"These processes did not end: {', '.join(alive)}", style="red")
    return not alive


if __name__ == "__main__":
    sys.exit(main())
