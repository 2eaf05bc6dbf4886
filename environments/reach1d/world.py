"""The line and its agents, without anything around it: shared by the player (reach1d) and by play.py."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

BEHAVIOUR = "Reach1D"
OBSERVATION_SIZE = 2  # own position (-1 to 1), side of the goal (-1 or 1)
STRIDE = 0.25  # of a full action (-1 or 1)
STEP_REWARD = -0.002
LONGEST_EPISODE = 50  # steps


@dataclass
class Agent:
    """Starts near the middle; the goal is one end of the line (+1), the other end is an abyss (-1)."""

    number: int  # of this episode; never given twice
    position: float
    goal: int
    steps: int = 0
    reward: float = 0.0  # of the last step
    score: float = 0.0  # of the episode so far
    done: bool = False

    @property
    def observation(self) -> list[float]:
        return [self.position, float(self.goal)]

    @property
    def reached(self) -> bool:
        return self.position * self.goal >= 1.0

    @property
    def interrupted(self) -> bool:
        """Out of time, which says nothing about the state it is in."""
        return self.done and abs(self.position) < 1.0

    def step(self, action: float) -> None:
        self.position += STRIDE * max(-1.0, min(1.0, action))
        self.steps += 1
        at_an_end = abs(self.position) >= 1.0
        self.done = at_an_end or self.steps >= LONGEST_EPISODE
        self.reward = STEP_REWARD + ((1.0 if self.reached else -1.0) if at_an_end else 0.0)
        self.score += self.reward


@dataclass
class World:
    """So many agents, each in episodes of its own. The same seed and actions give the same numbers."""

    agents_wanted: int
    seed: int
    agents: list[Agent] = field(default_factory=list)
    episodes: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  a game, no secret

    def reset(self) -> None:
        self.agents = [self._new_agent() for _ in range(self.agents_wanted)]
        for agent in self.agents:  # out of step with each other, so that some episode ends all the time
            agent.steps = self._random.randrange(LONGEST_EPISODE)

    def step(self, actions: list[float]) -> list[Agent]:
        """One action for each agent, in their order. Gives those whose episode has ended; new ones follow."""
        for agent, action in zip(self.agents, actions, strict=True):
            agent.step(action)
        ended = [agent for agent in self.agents if agent.done]
        self.agents = [self._new_agent() if agent.done else agent for agent in self.agents]
        return ended

    def _new_agent(self) -> Agent:
        self.episodes += 1
        return Agent(self.episodes, self._random.uniform(-0.3, 0.3), self._random.choice((-1, 1)))
