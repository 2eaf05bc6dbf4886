"""Flower's logins, as the operator writes them."""

import pytest

from coordinator.config import Config
from coordinator.errors import BadConfiguration
from coordinator.flower import logins_of


@pytest.mark.parametrize(("said", "logins"), [
    ("me:5f0c", ["me:5f0c"]), ("me:5f0c, you:71:aa", ["me:5f0c", "you:71:aa"]), ("me:5f0c,", ["me:5f0c"]),
])  # fmt: skip
def test_each_has_a_name_and_a_password(said: str, logins: list[str]) -> None:
    assert logins_of(Config(flower_basic_auth=said)) == logins


@pytest.mark.parametrize("said", ["", ",", "flower", "flower:", ":5f0c", "me:5f0c,flower", "me:5f0c,:"])
def test_what_is_no_login_is_refused_by_name_and_not_repeated(said: str) -> None:
    with pytest.raises(BadConfiguration, match="FLOWER_BASIC_AUTH") as caught:
        logins_of(Config(flower_basic_auth=said))
    assert "5f0c" not in caught.value.detail
