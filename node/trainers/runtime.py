"""What a trainer's Python computes with: told once by every launcher, kept in the run's bundle.

Runs in the trainer's Python, after the trainer has been imported.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path
from typing import Any

NVIDIA = Path("/proc/driver/nvidia/version")


def described() -> dict[str, Any]:
    """The exact version of everything that is installed, of Python and drivers, and the threads of PyTorch."""
    torch: Any = sys.modules.get("torch")
    return {
        "python": platform.python_version(),
        "packages": packages(),
        "driver": driver(torch),
        "threads": torch.get_num_threads() if torch else None,
    }


def packages() -> dict[str, str]:
    found = importlib.metadata.distributions()
    return dict(sorted({str(it.metadata["Name"]): str(it.version) for it in found}.items()))


def driver(torch: Any) -> dict[str, Any]:
    """PyTorch's build, and the graphics cards that it would use; None for what there is not."""
    cuda = bool(torch and torch.cuda.is_available())
    return {
        "torch": torch.__version__ if torch else None,
        "cuda": torch.version.cuda if torch else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] if cuda else [],
        "nvidia": NVIDIA.read_text(encoding="utf-8", errors="replace").split("\n")[0] if NVIDIA.exists() else None,
    }
