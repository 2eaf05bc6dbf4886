"""A module's own services and the reference environment, as the acceptance tests have them."""

from tests.acceptance.conftest import own_stack, reach1d

__all__ = ["own_stack", "reach1d"]
