"""Where the launcher listens inside ML-Agents: a connected environment, each checkpoint, the next moment to stop.

Runs in the trainer's Python. Each hook calls the original and adds one thing; none changes what is computed.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from node.trainers.facts import Facts
from node.trainers.mlagents_facts import StatsToFacts
from node.trainers.runtime import described
from node.trainers.stopping import StopRequest
from node.trainers.waiting import Waiting


def install(facts: Facts, stop: StopRequest) -> None:
    learn = importlib.import_module("mlagents.trainers.learn")
    controller = importlib.import_module("mlagents.trainers.trainer_controller").TrainerController
    manager = importlib.import_module("mlagents.trainers.env_manager").EnvManager
    saver = importlib.import_module("mlagents.trainers.model_saver.torch_model_saver").TorchModelSaver
    _around(learn, "run_training", functools.partial(_run_training, facts))
    _around(learn, "register_stats_writer_plugins", lambda original, options: [*original(options), StatsToFacts(facts)])
    _around(controller, "_create_trainers_and_managers", functools.partial(_create_trainers, facts))
    _around(controller, "start_learning", functools.partial(_start_learning, facts))
    _around(controller, "advance", functools.partial(_advance, stop))
    _around(manager, "get_steps", Waiting(lambda: facts.tell("waiting")).for_environment)
    _around(saver, "save_checkpoint", functools.partial(_save_checkpoint, facts))
    _around(saver, "_load_model", _load_model)


def _around(owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return wrapper(original, *args, **kwargs)

    setattr(owner, name, wrapped)


def _run_training(facts: Facts, original: Any, seed: int, options: Any, *others: Any) -> Any:
    """Tells the options as ML-Agents has resolved them, every default filled in."""
    facts.tell("configuration", configuration=options.as_dict())
    facts.tell("runtime", **described())
    return original(seed, options, *others)


def _start_learning(facts: Facts, original: Any, controller: Any, env_manager: Any) -> None:
    """Tells an error when the model has been saved, before the long wait for workers that will not answer."""
    try:
        original(controller, env_manager)
    except Exception as error:
        facts.tell_error(error)
        raise


def _create_trainers(facts: Facts, original: Any, controller: Any, env_manager: Any, behavior_ids: Any) -> None:
    """Called after each reset and step; names behaviours only when the environment shows agents of new ones."""
    original(controller, env_manager, behavior_ids)
    if behavior_ids:
        facts.tell("connected", behaviours=sorted(controller.trainers))


def _advance(stop: StopRequest, original: Any, controller: Any, env_manager: Any) -> Any:
    stop.take()
    return original(controller, env_manager)


def _save_checkpoint(facts: Facts, original: Any, saver: Any, behavior_name: str, step: int) -> Any:
    exported, files = original(saver, behavior_name, step)
    facts.tell("checkpoint", behaviour=behavior_name, step=int(step), path=files[0], model=exported)
    return exported, files


def _load_model(original: Any, saver: Any, load_path: str, policy: Any = None, reset_global_steps: bool = False) -> Any:
    """ML-Agents fills what a checkpoint lacks with random weights and only warns; no training is to begin like that."""
    torch = importlib.import_module("torch")
    saved = torch.load(load_path)
    modules = saver.modules if policy is None else policy.get_modules()
    for name, module in modules.items():
        if isinstance(module, torch.nn.Module) and _shapes(module.state_dict()) != _shapes(_part(saved, name)):
            raise ValueError(f'the checkpoint does not fit the network, its part "{name}" is of another shape')
    return original(saver, load_path, policy, reset_global_steps)


def _part(saved: Any, name: str) -> Any:
    part = saved.get(name) if isinstance(saved, dict) else None
    return part if isinstance(part, dict) else {}


def _shapes(state: Any) -> dict[str, Any]:
    return {key: getattr(value, "shape", None) for key, value in state.items()}
