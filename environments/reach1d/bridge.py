"""The player's side of the node's bridge: is told the job, and says how one agent fares, as long as somebody listens.

The training depends on none of it: without a bridge nothing is said, and what a slow one does not take is left out.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
from dataclasses import dataclass, field
from typing import Any

from world import Agent

URL = "ws://127.0.0.1:8000/api/v1/train-instance-stream"  # where it always was; a node may name another
PATIENCE_SECONDS = 1.0
WAITING = 64  # messages
ACTIONS, ON_EPISODE_BEGIN = 1, 4


class Bridge:
    """One connection, in a thread of its own; comes up, if at all, before the constructor returns."""

    def __init__(self, url: str | None = None) -> None:
        self._url = url or os.environ.get("TRAIN_BRIDGE_URL") or URL
        self._words: queue.Queue[str | None] = queue.Queue(WAITING)
        self.is_open = False
        self.job: dict[str, Any] = {}
        self._decided = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bridge", daemon=True)
        self._thread.start()
        self._decided.wait(PATIENCE_SECONDS)

    def say(self, message: dict[str, Any]) -> None:
        """Returns at once; left out where the bridge does not keep up."""
        if self.is_open:
            with contextlib.suppress(queue.Full):
                self._words.put_nowait(json.dumps(message))

    def close(self) -> None:
        """Waits a moment until all is said."""
        if self.is_open:
            with contextlib.suppress(queue.Full):
                self._words.put(None, timeout=PATIENCE_SECONDS)
            self._thread.join(PATIENCE_SECONDS)

    def _run(self) -> None:
        try:
            self._talk()
        except Exception as error:  # whatever it is: the training goes on without
            print(f"Reach1D: no bridge at {self._url}: {error}")
        finally:
            self.is_open = False
            self._decided.set()

    def _talk(self) -> None:
        from websockets.sync.client import connect  # here, since a player must do without it

        options = {"open_timeout": PATIENCE_SECONDS, "ping_interval": None, "compression": None, "proxy": None}
        with connect(self._url, **options) as line:
            self.job = json.loads(line.recv())["train_job"]
            print(f"Reach1D: the bridge has told run {self.job['run_id']}")
            line.send("Instance: Start Training")
            self.is_open = True
            self._decided.set()
            while (word := self._words.get()) is not None:
                line.send(word)


@dataclass
class Reporter:
    """Says how the agent in the first place fares: a message a step, or one an episode with all its steps."""

    bridge: Bridge
    each_step: bool = False
    padding: str = ""  # to try what large messages do
    episodes: int = 0
    _agent: int = 0
    _steps: list[dict[str, float]] = field(default_factory=list)

    def take(self, agent: Agent, action: float | None = None) -> None:
        """The agent after a step with that action, or as it is after a reset."""
        if agent.number != self._agent:
            self._begin(agent)
        if action is None:
            return
        self._steps.append({"action": action, "x": agent.position})
        if self.each_step or agent.done:
            self._say(agent)

    def _begin(self, agent: Agent) -> None:
        self._agent = agent.number
        self.episodes += 1
        self._steps = []
        self.bridge.say({"msg_id": ON_EPISODE_BEGIN})

    def _say(self, agent: Agent) -> None:
        if not self.bridge.is_open:
            return
        self.bridge.say({
            "msg_id": ACTIONS, "agent_id": self.bridge.job["env_config"]["agent_id"], "stepCount": agent.steps,
            "episodeCount": self.episodes, "goal": agent.goal,
            "agentPose": {"x": agent.position}, "actionsBuffer": self._steps, "padding": self.padding,
        })  # fmt: skip
        self._steps = []
