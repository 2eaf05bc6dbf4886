"""A module's own services and the reference environment, as the acceptance tests have them."""

from tests.acceptance.conftest import reach1d
from tests.own_services import own_stack

__all__ = ["own_stack", "reach1d"]
