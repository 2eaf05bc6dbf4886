"""`python -m bench [submit] [live] [bridge]`: starts services and programs, prints ratios, leaves nothing behind."""

import argparse
import tempfile
from pathlib import Path

from bench import bridge, live, submit
from services.platform import Platform
from services.stack import Stack

BENCHES = {"submit": submit.bench, "live": live.bench, "bridge": bridge.bench}


def main() -> None:
    """Runs the benchmarks named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], help="which to run (default: all)")
    names = parser.parse_args().names or list(BENCHES)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder).chmod(0o755)
        stack = Stack(Path(folder) / "data", environ={})
        with stack, Platform(stack, Path(folder) / "platform", {"LOG_LEVEL": "WARNING"}) as platform:
            platform.start("web", "results", "recorder")
            for name in names:
                BENCHES[name](stack, platform)


if __name__ == "__main__":
    main()
