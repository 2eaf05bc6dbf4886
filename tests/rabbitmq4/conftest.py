"""The platform of the acceptance tests, over the stack that the module here makes stricter."""

from tests.acceptance.conftest import platform

__all__ = ["platform"]
