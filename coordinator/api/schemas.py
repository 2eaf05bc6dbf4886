"""The bodies that clients send and read. Unknown fields are ignored; numbers are JSON numbers, never text."""

from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from flask import request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from wire.codec import encode
from wire.jobs import Has
from wire.log_lines import HOSTILE
from wire.names import MAX_PRIORITY

from ..errors import BadRequest, BodyTooLarge
from ..jobs import Request
from . import pacing

TOO_LARGE = "The body may have at most {} bytes."
PRINTABLE, WITHOUT_NUL = f"^[^{HOSTILE}]+$", r"^[^\x00]*$"
FILE, LABEL = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", r"^[A-Za-z0-9][A-Za-z0-9._:/=-]*$"
PATTERNS = {
    PRINTABLE: "There must be no control characters in it",
    WITHOUT_NUL: "There must be no NUL character in it",
    FILE: "It must be letters, digits, '.', '_', '+' or '-', a letter or digit first",
    LABEL: "It must be letters, digits, or one of . _ : / = -, a letter or digit first",
}
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
Free = Annotated[str, Field(max_length=10_000, pattern=WITHOUT_NUL)]
Label = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)]
Whole = Annotated[int, Field(ge=1, le=2**31 - 1)]


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    try:
        text = encode(value)
    except (ValueError, RecursionError):
        raise ValueError("Its numbers must be finite") from None
    if "\\u0000" in text:
        raise ValueError("There must be no NUL character in it")
    return value


Object = Annotated[dict[str, Any], AfterValidator(_storable)]
"""Any JSON object that the database takes."""
T = TypeVar("T", bound="Body")
Amount = Annotated[int, Field(ge=0, le=2**53)]


class Body(BaseModel):
    """Of every request."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, use_attribute_docstrings=True)


class NnModelConfig(Body):
    """Which behaviour is trained, for how many environment steps."""

    behavior_name: Name
    steps: Whole


class EnvConfig(Body):
    """Which environment is trained in, with how many areas; `agent_id` is the game's own."""

    agent_id: Free
    env_id: Name
    num_of_areas: Whole


class Recording(Body):
    """Which episodes of the job are recorded: every n-th (0: none), and at most so many MB of the job."""

    every: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    max_mb: Annotated[int, Field(ge=0, le=100_000)] | None = None


class Requires(Body):
    """What a node must have to train the job."""

    gpu: bool = False
    memory_mb: Annotated[int, Field(ge=1, le=16_777_216)] | None = None
    labels: Annotated[list[Label], Field(max_length=16)] = []


class TrainJobBody(Body):
    """What a game posts. With the `run_id` of a job that succeeded, that job is trained further.

    The same `seed` on the same kind of machine gives the same training again; without one it is random.
    """

    run_id: Annotated[UUID, Field(strict=False)] | None = None
    agent_config: Free
    nn_model_config: NnModelConfig
    env_config: EnvConfig
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    num_envs: Annotated[int, Field(ge=1, le=64)] = 1
    checkpoint_interval: Whole | None = None
    time_limit: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """Seconds."""
    hyperparameters: dict[str, Any] = {}
    initialize_from: Annotated[UUID, Field(strict=False)] | None = None
    recording: Recording | None = None
    requires: Requires | None = None
    priority: Annotated[int, Field(ge=1, le=MAX_PRIORITY)] | None = None

    def request(self) -> Request:
        env, model = self.env_config, self.nn_model_config
        return Request(
            self.agent_config, env.env_id, env.agent_id, env.num_of_areas, model.behavior_name, model.steps, self.seed,
            num_envs=self.num_envs, checkpoint_interval=self.checkpoint_interval, hyperparameters=self.hyperparameters,
            recording=self.recording.model_dump(exclude_none=True) if self.recording else {},
            requires=self.requires.model_dump(exclude_defaults=True) if self.requires else {},
            initialize_from=self.initialize_from, time_limit=self.time_limit, priority=self.priority,
        )  # fmt: skip


class ClaimBody(Body):
    """A node wants to train this attempt; `claim` is made up anew by each execution of the task."""

    run_id: Annotated[UUID, Field(strict=False)]
    attempt: Whole
    claim: Annotated[UUID, Field(strict=False)]


class UploadBody(Body):
    """A node wants to upload a file of an attempt it holds."""

    name: Annotated[str, Field(max_length=200, pattern=FILE)]


class CheckBody(Body):
    """What a node found when it first ran a build; `error` null, it passed."""

    error: Annotated[str, Field(max_length=2_000, pattern=WITHOUT_NUL)] | None = None
    seconds: Annotated[float, Field(ge=0, le=86_400, strict=False)] = 0.0
    found: Object = {}


class Inventory(Body):
    """What a node has; docs/protocol.md says what each field means."""

    trainers: Annotated[list[Label], Field(max_length=16)] = []
    gpus: Annotated[list[Name], Field(max_length=64)] = []
    memory_mb: Amount = 0
    threads: Annotated[int, Field(ge=1, le=4_096)] = 1
    labels: Annotated[list[Label], Field(max_length=64)] = []
    disk_free_mb: Amount = 0
    full: Annotated[str, Field(max_length=300, pattern=PRINTABLE)] | None = None
    version: Annotated[str, Field(max_length=100, pattern=WITHOUT_NUL)] = ""


class NodeBody(Body):
    """A node says that it is there."""

    slots: Annotated[int, Field(ge=1, le=1_000)]
    has: Inventory = Inventory()
    life: Annotated[UUID, Field(strict=False)] | None = None
    drain: Literal["finish", "hand-over"] | None = None

    def inventory(self) -> Has:
        return Has.from_wire(self.has.model_dump(exclude_unset=True) | {"slots": self.slots})


class SelfCheckBody(Body):
    """What a node has found wrong with itself."""

    passed: bool
    findings: Annotated[list[Annotated[str, Field(max_length=2_000, pattern=WITHOUT_NUL)]], Field(max_length=100)] = []


class Hello(Body):
    """A WebSocket's first message: with `after`, all events after that number; without, the current attempt's."""

    run_id: Annotated[UUID, Field(strict=False)]
    after: Annotated[int, Field(ge=0, le=2**53)] | None = None
    token: Annotated[str, Field(max_length=10_000)] | None = None
    ticket: Annotated[str, Field(max_length=100)] | None = None
    """Instead of a token: a one-time ticket for this run."""
    logs: bool = False
    """Also the lines of the trainer's and the environment's logs."""
    episode: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Not the run as it goes on, but this recorded episode of it."""
    attempt: Whole | None = None
    """The episode's attempt; the newest one that has it when not said."""
    speed: Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False, strict=False)] = 1.0
    """Of the replay: 1 as it happened, 2 twice as fast, 0 as fast as possible."""


def body(schema: type[T]) -> T:
    """The request's body. Raises BadRequest (or BodyTooLarge) with a sentence on what is wrong with it."""
    try:
        with pacing.without_turn():
            raw = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise BodyTooLarge(TOO_LARGE.format(request.max_content_length)) from None
    except ClientDisconnected:
        raise BadRequest("The body ended before its announced length.") from None
    if request.content_length is None and len(raw) >= (request.max_content_length or len(raw) + 1):
        raise BodyTooLarge(TOO_LARGE.format(request.max_content_length))  # in chunks it is cut off there, silently
    return parse(schema, raw)


def parse(schema: type[T], raw: str | bytes) -> T:
    """JSON text as a schema's object. Raises BadRequest."""
    try:
        return schema.model_validate_json(raw)
    except ValidationError as error:
        raise BadRequest(sentence(error.errors(include_url=False, include_input=False))) from None


def sentence(errors: list[Any]) -> str:
    """The first few of pydantic's findings as sentences that name the field."""
    parts = []
    for found in errors[:3]:
        where, pattern = ".".join(str(part) for part in found["loc"]), found.get("ctx", {}).get("pattern")
        message = PATTERNS.get(pattern, str(found["msg"]).rstrip("."))
        parts.append(f"{where}: {message}." if where else f"{message}.")
    return " ".join(parts)
