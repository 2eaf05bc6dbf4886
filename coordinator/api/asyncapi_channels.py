"""What goes over which channel: the table of which the document of messages is made."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from wire import names
from wire.facts import Outcome
from wire.uploads import Upload

from .. import messages
from .forms import Id, Number
from .forms.reports import Facts, Rejection, State, StateHeaders, TrainJobConfig
from .framing import GOING_AWAY, NORMAL, POLICY, TRY_AGAIN
from .json_schemas import Schema
from .schemas import Hello

SERVERS: Schema = {
    "web": {"host": "{host}", "protocol": "ws", "description": "The coordinator's web; `wss` behind TLS.",
            "variables": {"host": {"default": "127.0.0.1:8080", "description": "As operators publish it."}}},
    "broker": {"host": "{host}", "protocol": "amqp", "protocolVersion": "0-9-1",
               "description": "RabbitMQ; `amqps` with TLS.",
               "variables": {"host": {"default": "127.0.0.1:5672", "description": "The BROKER_URL of a node."}}},
    "bridge": {"host": "{host}", "protocol": "ws", "description": "On a training node's machine, for its builds alone.",
               "variables": {"host": {"default": "127.0.0.1:8000", "description": "The node's BRIDGE_ADDRESS."}}},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message. A task has arguments, any other a form; one that is not JSON has neither."""

    name: str
    form: Any = None
    about: str = ""
    """In place of what the form says of itself."""
    media: str = "application/json"
    headers: Any = None
    task: str | None = None
    """The Celery task's name."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Its arguments, in order."""
    are_named: bool = False
    """Whether they come by name: those of the coordinator do, those of nodes come by place."""

    @property
    def key(self) -> str:
        """The name as the document can refer to it."""
        return self.name.replace(".", "-")

    @property
    def forms(self) -> Iterator[Any]:
        """All that it is made of."""
        yield from (it for it in (self.form, self.headers, *self.arguments.values()) if it is not None)


@dataclass(frozen=True, slots=True)
class Channel:
    """Where messages go, and which ways."""

    name: str
    title: str
    about: str
    address: str
    server: str
    sent: tuple[Message, ...] = ()
    received: tuple[Message, ...] = ()
    bindings: Schema = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    closes: dict[int, str] = field(default_factory=dict)


def _exchange(name: str) -> Schema:
    its = {"name": name, "type": "topic", "durable": True, "autoDelete": False}
    return {"amqp": {"is": "routingKey", "exchange": its, "bindingVersion": "0.3.0"}}


def _of_node(task: str, about: str, **arguments: Any) -> Message:
    return Message(task, about=about, task=task, arguments=arguments)


def _of_coordinator(task: str, about: str, **arguments: Any) -> Message:
    return Message(task, about=about, task=task, arguments=arguments, are_named=True)


EVENTS = (
    Message("METRICS", messages.Metrics), Message("STATUS", messages.Status), Message("ERROR", messages.Error),
    Message("LOG", messages.Log), Message("SKIPPED", messages.Skipped), Message("CHECKPOINT", messages.Checkpoint),
    Message("build-state", State),
)  # fmt: skip
GAMES = Channel(
    "client-stream", "A run, live",
    "The client says hello. The server sends every event of the run in order, each once, then goes on live; after "
    "STATUS(SUCCEEDED) the model as one binary message; then it closes. The token comes in the hello, in the header "
    "Authorization, or behind the subprotocol `bearer`; in its place a ticket may come in the hello.",
    "/ws/v1/client-stream", "web",
    sent=(*EVENTS, Message("model", about="The ONNX model: the only binary message, perhaps in fragments.",
                           media="application/octet-stream")),
    received=(Message("hello", Hello, "The only message of a client: which run, from where on, by whose right."),),
    bindings={"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    closes={
        NORMAL: "The job has ended, everything was sent.",
        POLICY: "Refused: no hello in time, a bad one, no good token (any more), no such run; an ERROR says which.",
        1009: "The client has sent a message of more than MAX_BODY_BYTES.",
        GOING_AWAY: "The server restarts: come back with `after`.",
        TRY_AGAIN: "Something is away, or the client read too slowly: come back in a few seconds, with `after`.",
    },
)  # fmt: skip
FACTS = Channel(
    "facts", "What happens in attempts",
    "Celery events of nodes, persistent and confirmed, in the order of their numbers. A message of 4 MB at most.",
    names.EVENT_ROUTING_KEY, "broker", received=(Message("training-facts", Facts),),
    bindings=_exchange(names.EVENT_EXCHANGE),
)  # fmt: skip
TRAININGS = Channel(
    "trainings", "Attempts that wait for a node",
    "One queue for jobs that ask for nothing of their node, `train`, and one for all that ask for the same. The task's "
    "return value goes to `coord.outcome`.",
    "{queue}", "broker",
    sent=(_of_coordinator(names.TASK_TRAIN, "An attempt is to be claimed, and trained.", run_id=Id, attempt=Number),),
    bindings=_exchange(names.TRAIN_EXCHANGE), parameters={"queue": "`train`, or `train.` and a hash."},
)  # fmt: skip
OF_NODES = (
    _of_node(names.TASK_OUTCOME, "How an attempt ended; null where the node dropped the task.", outcome=Outcome | None),
    _of_node(names.TASK_UPLOADED, "A file of a running attempt is in staging.", upload=Upload),
    _of_node(names.TASK_REJECTED, "A node could not use what was in a queue of trainings.", rejected=Rejection),
    _of_node(names.TASK_LOST, "The process that trained an attempt is gone.", task_id=str, run_id=Id, attempt=Number),
)  # fmt: skip
OWN = (
    _of_coordinator(names.TASK_FINISH, "The outcome and all facts before it are there: the attempt is to be ended.",
          run_id=Id, attempt=Number),
    _of_coordinator(names.TASK_VERIFY, "A build was uploaded, and is to be looked into.", build_id=Id),
    _of_coordinator(names.TASK_PROBE, "Has everything before it been taken from the queue?"),
)  # fmt: skip
OUTCOMES = Channel(
    "outcomes", "What `results` does", "Tasks of Celery's protocol 2, from nodes and from the coordinator itself.",
    names.OUTCOME_QUEUE, "broker", sent=OWN, received=OF_NODES, bindings=_exchange(names.OUTCOME_EXCHANGE),
)  # fmt: skip
STATES = Channel(
    "states", "What builds say of their world",
    "From the nodes' bridges straight to the web processes in which somebody watches the run; transient.",
    "{run_id}", "broker", received=(Message("state", State, headers=StateHeaders),),
    bindings=_exchange(names.STATE_EXCHANGE), parameters={"run_id": "The job's id."},
)  # fmt: skip
BRIDGE = Channel(
    "train-instance-stream", "A build at its node",
    "A build connects and says nothing; the node sends its job; the build answers with one text, whatever it is; then "
    "it says what happens in its world.",
    names.BRIDGE_PATH, "bridge", sent=(Message("TRAIN_JOB_CONFIG", TrainJobConfig),),
    received=(Message("said-by-build", State),), bindings={"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    closes={
        1008: "The program belongs to no training of this node.",
        1003: "The message was binary.",
        1009: "The message has more than BRIDGE_MAX_MESSAGE_MB.",
        1002: "The bytes are no WebSocket frames.",
        1007: "The text is no UTF-8.",
    },
)  # fmt: skip
CHANNELS = (GAMES, FACTS, TRAININGS, OUTCOMES, STATES, BRIDGE)
