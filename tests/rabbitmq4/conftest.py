"""The platform of the acceptance tests, over the stack that the module here makes stricter."""

from tests.acceptance.conftest import overheard, platform, shared_corner

__all__ = ["overheard", "platform", "shared_corner"]
