"""The trainers there are, in one table: the coordinator chooses by the environment's kind, nodes load by the name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Registered:
    """`kind` of the environments that it trains in, and its class, as module:name, which only nodes import."""

    kind: str
    implementation: str


TRAINERS = {
    "mlagents": Registered("unity", "node.trainers.mlagents:MLAgentsTrainer"),
    "sb3": Registered("gymnasium", "node.trainers.sb3:SB3Trainer"),
}
DEFAULT_KIND = "unity"
