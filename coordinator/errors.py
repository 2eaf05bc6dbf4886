"""Every error the coordinator raises on purpose. Its text is a sentence for the person who caused it."""

import math


class CoordinatorError(Exception):
    """Base of all; `status` is the HTTP status it becomes, `code` stays the same when the sentence changes."""

    status = 500
    code = "error"
    retry_after: int | None = None
    """Seconds after which the same request may work."""

    @property
    def detail(self) -> str:
        return str(self)


class BadConfiguration(CoordinatorError):
    """A variable is missing or wrong; the process cannot start."""

    code = "bad_configuration"


class BadRequest(CoordinatorError):
    """What was sent cannot be understood."""

    status, code = 422, "bad_request"


class BodyTooLarge(BadRequest):
    """More bytes were sent than a request may have."""

    status, code = 413, "body_too_large"


class TooSlow(CoordinatorError):
    """A request that did not come to its end in time."""

    status, code = 408, "too_slow"


class NotAuthenticated(CoordinatorError):
    """No token, or one that is not good (any more)."""

    status, code = 401, "not_authenticated"


class NotAllowed(CoordinatorError):
    """The caller is known, and may not do this."""

    status, code = 403, "not_allowed"


class NotFound(CoordinatorError):
    """It does not exist, or not for this caller: the two are not told apart."""

    status, code = 404, "not_found"


class Conflict(CoordinatorError):
    """It exists, but its state does not allow this."""

    status, code = 409, "conflict"


class LimitReached(CoordinatorError):
    """More was asked for than the user or his team may have. Waiting alone does not help."""

    status, code = 403, "limit_reached"


class TooMany(LimitReached):
    """The same, of something that grows less by itself: `retry_after` says when to try again."""

    status = 429

    def __init__(self, sentence: str, retry_after: float) -> None:
        super().__init__(sentence)
        self.retry_after = max(1, math.ceil(retry_after))


class TooManyRequests(TooMany):
    """Requests come faster than they may."""

    code = "too_many_requests"


class NotAsNamed(CoordinatorError):
    """What a client has named by its tag is not that (any more)."""

    status, code = 412, "precondition_failed"


class KeyReused(CoordinatorError):
    """An Idempotency-Key that came with another request before."""

    status, code = 422, "idempotency_key_reused"


class Unavailable(CoordinatorError):
    """Something the coordinator needs is away for the moment; the same request may work soon."""

    status, code = 503, "unavailable"
    retry_after: int | None = 2


class Gone(Unavailable):
    """A stored file is not there any more, or not whole: the same request will not work later either."""

    status, code = 410, "gone"
    retry_after = None


class RejectedBuild(CoordinatorError):
    """A build that was uploaded is not what its owner said, or not what can be trained in."""

    status, code = 422, "rejected_build"


class RejectedArtifact(CoordinatorError):
    """An upload is missing or is not what the node said it would be."""

    code = "rejected_artifact"
