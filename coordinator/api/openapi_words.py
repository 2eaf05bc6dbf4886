"""What the API's document says that stands nowhere in the code: of tags, of parts of addresses, of statuses."""

from .json_schemas import Schema

TITLE = "Train Jobs Coordinator"
ABOUT = (
    "Takes training jobs from games, and trains their agents on remote nodes.\n\n"
    "Success is exactly 200, and 206 for a part of a file. Unknown fields of a request are ignored, and so should be "
    "those of an answer. Errors are JSON with a sentence (`detail`) and a word (`code`), also at addresses that are "
    "not here. What comes over WebSockets and RabbitMQ is in the document `/api/v1/asyncapi.json`."
)
TAGS = {
    "jobs": "Submit, list, show, stop and delete trainings.",
    "results": "What trainings have left: models, files, logs, episodes, and what decided the result.",
    "environments": "The store of environment builds.",
    "people": "Users, tokens and teams.",
    "training nodes": "For the programs on training machines, with a node's token; the list of nodes is for people.",
    "operation": "Whether the process is there, and these documents.",
}
TAG_OF = {"jobs": "jobs", "accounts": "people", "installation": "people", "audit": "people", "limits": "people",
          "environments": "environments", "nodes": "training nodes", "health": "operation",
          "documents": "operation"}  # fmt: skip
"""By blueprint; the others are about results."""
PATH = {
    "run_id": "The job's id.",
    "attempt": "The attempt's number within the job, from 1.",
    "name": "The file's name, as the list of files has it.",
    "episode": "The episode's number within its attempt, from 1.",
    "env_id": "The environment's name.",
    "version": "The version of the environment.",
    "build_id": "The id of a version of an environment.",
    "token_id": "The token's id, as the list of tokens has it.",
    "team": "The team's name.",
    "user": "The user's name.",
    "node": "The node's name.",
    "limit": "The limit's name, as the list of limits has it.",
    "asset": "The file's name.",
}
"""What each part of an address is that a client puts in."""
STATUSES = {
    400: "What came is no HTTP request.",
    401: "No token, or one that is not known here, was revoked, has expired or is of the wrong kind.",
    403: "The token's scope, or its user's role in the team, does not allow it.",
    404: "There is no such thing among those that the caller may see.",
    408: "The body did not come to its end in time.",
    409: "The state of the thing does not allow it.",
    410: "The file was stored, but is not in storage any more, or not whole.",
    412: "It is not (any more) what If-Match names.",
    413: "The body has more bytes than it may have.",
    414: "The address has more characters than it may have.",
    416: "The file has no such part.",
    422: "Something that was sent is missing, of the wrong type or out of range.",
    429: "Too much at a time: too many requests, or too many jobs that wait.",
    431: "There are more headers, or longer ones, than there may be.",
    500: "Something unexpected, which is logged.",
    503: "Something that is needed is away; nothing is lost.",
}
RETRY_AFTER = {"description": "Seconds after which to try again.", "schema": {"type": "integer"}, "required": True}
LENGTH = {"description": "How long it is, as in `bytes */2000`.", "schema": {"type": "string"}, "required": True}
HEADERS: dict[int, Schema] = {
    401: {"WWW-Authenticate": {"description": "Always `Bearer`.", "schema": {"type": "string"}, "required": True}},
    416: {"Content-Range": LENGTH},
    429: {"Retry-After": RETRY_AFTER},
    503: {"Retry-After": RETRY_AFTER},
}
SECURITY = {
    "user": {"type": "http", "scheme": "bearer", "description": "A user's token, which speaks for him in one team."},
    "node": {"type": "http", "scheme": "bearer", "description": "A training node's token."},
}
