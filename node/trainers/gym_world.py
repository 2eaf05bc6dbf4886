"""A build's Gymnasium environment: how it is made, and what of it can be trained. Runs in the trainer's Python."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy
from gymnasium import spaces

from node.trainers.base import TrainingRefused
from node.trainers.explanations import one_line


class World:
    """Makes environments as the manifest says, and says what they observe and do in ML-Agents' terms."""

    def __init__(self, environment: Mapping[str, Any]) -> None:
        """`environment`: gym_id, module or None, folder, and the manifest's observation_shapes and actions, if any."""
        self.gym_id = str(environment["gym_id"])
        self.promised = {name: environment.get(name) for name in ("observation_shapes", "actions")}
        _register(environment)

    def make(self) -> Any:
        """One more environment. Raises TrainingRefused where there is none."""
        try:
            return gymnasium.make(self.gym_id)
        except gymnasium.error.Error as error:
            raise TrainingRefused(
                f'There is no Gymnasium environment "{self.gym_id}": {one_line(str(error))}'
            ) from error
        except (Exception, SystemExit) as error:
            raise TrainingRefused(f'The environment "{self.gym_id}" cannot be made: {words(error)}.') from error

    def check(self, made: Any) -> None:
        """Raises TrainingRefused unless the spaces can be trained and are those that the manifest promises."""
        found = described(made)
        shapes, actions = self.promised["observation_shapes"], self.promised["actions"]
        if shapes is not None and list(map(list, shapes)) != found["observation_shapes"]:
            raise TrainingRefused(
                f"The environment observes {found['observation_shapes']}, its manifest promises {shapes}."
            )
        if actions is not None and normal(actions) != found["actions"]:
            raise TrainingRefused(f"The environment's actions are {found['actions']}, its manifest promises {actions}.")


def _register(environment: Mapping[str, Any]) -> None:
    """Imports the build's module, which registers the environment with Gymnasium."""
    if not environment["module"]:
        return
    sys.path.insert(0, environment["folder"])
    sys.dont_write_bytecode = True  # a build stays as it came
    try:
        importlib.import_module(environment["module"])
    except (Exception, SystemExit) as error:
        raise TrainingRefused(
            f'The environment\'s module "{environment["module"]}" cannot be imported: {words(error)}.'
        ) from error


def described(made: Any) -> dict[str, Any]:
    """A behaviour in the manifest's words. Raises TrainingRefused for spaces that cannot be trained."""
    return {"observation_shapes": [observed(made.observation_space)], "actions": acted(made.action_space)}


def is_image(space: Any) -> bool:
    """Bytes from 0 to 255 in three dimensions, of which the smallest, the channels, is the first or the last."""
    is_bytes = space.dtype == numpy.uint8 and len(space.shape) == 3
    return bool(is_bytes and (space.low == 0).all() and (space.high == 255).all())


def observed(space: Any) -> list[int]:
    """The shape of obs_0, channels first for images. Raises TrainingRefused for what cannot be trained."""
    if not isinstance(space, spaces.Box) or not 1 <= len(space.shape) <= 3:
        raise TrainingRefused(
            f"Observations of the kind {one_line(str(space))} are not supported: "
            "they must be one Box, a vector or an image."
        )
    shape = [int(size) for size in space.shape]
    is_last = is_image(space) and shape[0] != min(shape)
    return [shape[2], shape[0], shape[1]] if is_last else shape


def acted(space: Any) -> dict[str, Any]:
    """{continuous, discrete} as manifests have it. Raises TrainingRefused for what cannot be trained."""
    if (
        isinstance(space, spaces.Box)
        and numpy.isfinite([space.low, space.high]).all()
        and (space.low < space.high).all()
    ):
        return {"continuous": int(numpy.prod(space.shape)), "discrete": []}
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return {"continuous": 0, "discrete": [int(space.n)]}
    if isinstance(space, spaces.MultiDiscrete) and len(space.shape) == 1 and not numpy.any(space.start):
        return {"continuous": 0, "discrete": [int(size) for size in space.nvec]}
    raise TrainingRefused(
        f"Actions of the kind {one_line(str(space))} are not supported: they must be a Box with finite bounds, "
        "a Discrete or a MultiDiscrete that begins at 0."
    )


def normal(actions: Mapping[str, Any]) -> dict[str, Any]:
    return {"continuous": int(actions.get("continuous") or 0), "discrete": list(actions.get("discrete") or [])}


def words(error: BaseException) -> str:
    """An error that the environment raised, to stand in a sentence."""
    return one_line(f"{type(error).__name__}: {error}").rstrip(".")
