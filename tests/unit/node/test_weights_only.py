"""Checkpoints are loaded as weights, whatever the code that loads them asks for."""

import pickle
from typing import Any

import pytest

from node.trainers.mlagents_cures import weights_only


def loaded(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What torch.load is called with."""
    return args, kwargs


@pytest.mark.parametrize(("args", "kwargs"), [
    (("file",), {}), (("file",), {"weights_only": False}), (("file",), {"pickle_module": pickle}),
    (("file", "cpu", pickle), {"weights_only": False}),
])  # fmt: skip
def test_nobody_gets_anything_but_weights(args: Any, kwargs: Any) -> None:
    assert weights_only(loaded)(*args, **kwargs) == (args[:2], {"weights_only": True})


def test_a_pytorch_that_cannot_do_that_loads_nothing() -> None:
    def old(file: str, map_location: Any = None, pickle_module: Any = None) -> str:
        return f"everything in {file}"

    with pytest.raises(TypeError):
        weights_only(old)("file")


def test_an_empty_file_is_a_damaged_checkpoint() -> None:
    def empty(file: str, weights_only: bool) -> None:
        raise EOFError

    with pytest.raises(pickle.UnpicklingError):
        weights_only(empty)("file")
