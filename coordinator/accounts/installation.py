"""Commands of those who run the installation: who of its users is an operator, and who is disabled."""

from sqlalchemy import func

from .. import audit
from ..audit import Audited
from ..errors import Conflict
from ..extensions import db
from ..models import User
from . import tokens

NO_OPERATOR = "{!r} is signed in by {!r}. Operators have tokens of this installation: make another user for him."


def change(user: User, *, is_operator: bool | None = None, is_disabled: bool | None = None) -> User:
    """What is None stays. Other processes know within two seconds; sockets end by themselves. Raises Conflict."""
    if is_operator and user.issuer is not None:
        raise Conflict(NO_OPERATOR.format(user.name, user.issuer))
    if is_operator not in (None, user.is_operator):
        user.is_operator = bool(is_operator)
        audit.note(Audited.USER_CHANGED, user.name, is_operator=is_operator)
    if is_disabled not in (None, user.disabled_at is not None):
        user.disabled_at = func.now() if is_disabled else None
        audit.note(Audited.USER_CHANGED, user.name, is_disabled=is_disabled)
    db.session.commit()
    tokens.forget()
    return user
