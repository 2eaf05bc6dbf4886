"""The part of a Stable-Baselines3 policy that a game needs, as modules for `onnx_export`. Runs in the trainer's Python.

Observations come as Unity sends them: vectors as they are, images channels first with values 0..1. Continuous actions
go out as Unity takes them: -1 is the lower bound of the environment's action, 1 the upper.
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces

from node.trainers.gym_world import acted
from node.trainers.onnx_export import ContinuousModel, DiscreteModel

LOG_STD_LEAST, LOG_STD_MOST = -20, 2  # of SAC's actor


def game_model(algorithm: Any) -> ContinuousModel | DiscreteModel:
    """The model of a PPO, A2C, SAC or DQN; it shares the weights."""
    actions, policy = acted(algorithm.action_space), algorithm.policy
    if hasattr(policy, "q_net"):
        return DiscreteModel(_Values(policy.q_net), actions["discrete"], greedy=True)
    if hasattr(policy, "actor"):
        return ContinuousModel(_Squashed(policy.actor), actions["continuous"])
    if isinstance(algorithm.action_space, spaces.Box):
        return ContinuousModel(_Clipped(policy, algorithm.action_space), actions["continuous"])
    return DiscreteModel(_Logits(policy), actions["discrete"])


class _Values(torch.nn.Module):
    """DQN: the value of each action."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.features, self.values = network.features_extractor, network.q_net

    def forward(self, observation: Any) -> Any:
        return self.values(self.features(observation))


class _Logits(torch.nn.Module):
    """PPO and A2C with discrete actions."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.features, self.body, self.head = _body_of(policy)

    def forward(self, observation: Any) -> Any:
        return self.head(self.body(self.features(observation)))


class _Clipped(torch.nn.Module):
    """PPO and A2C with continuous actions: a normal distribution, clipped to the bounds, told as -1..1."""

    def __init__(self, policy: Any, space: Any) -> None:
        super().__init__()
        self.features, self.body, self.head = _body_of(policy)
        low, high = (torch.as_tensor(it, dtype=torch.float32).reshape(-1) for it in (space.low, space.high))
        self.centre = torch.nn.Parameter((low + high) / 2, requires_grad=False)
        self.spread = torch.nn.Parameter((high - low) / 2, requires_grad=False)
        self.log_std = policy.log_std

    def forward(self, observation: Any) -> tuple[Any, Any]:
        mean = self.head(self.body(self.features(observation)))
        sampled = mean + torch.randn_like(mean) * torch.exp(self.log_std)
        return self._told(mean), self._told(sampled)

    def _told(self, action: Any) -> Any:
        return torch.clamp((action - self.centre) / self.spread, -1.0, 1.0)


class _Squashed(torch.nn.Module):
    """SAC: a normal distribution, squashed by tanh."""

    def __init__(self, actor: Any) -> None:
        super().__init__()
        self.features, self.body = actor.features_extractor, actor.latent_pi
        self.mean, self.log_std = actor.mu, actor.log_std

    def forward(self, observation: Any) -> tuple[Any, Any]:
        latent = self.body(self.features(observation))
        mean, log_std = self.mean(latent), torch.clamp(self.log_std(latent), LOG_STD_LEAST, LOG_STD_MOST)
        return torch.tanh(mean), torch.tanh(mean + torch.randn_like(mean) * torch.exp(log_std))


def _body_of(policy: Any) -> tuple[Any, Any, Any]:
    return policy.pi_features_extractor, policy.mlp_extractor.policy_net, policy.action_net
