"""REST for the audit: who changed what, when, from where and why; of a team, or for operators of everything."""

from typing import Any

from flask import Blueprint, Response, request, stream_with_context

from .. import audit_trail, permissions
from ..accounts import teams
from ..audit import Audited
from ..errors import BadRequest
from ..permissions import Action, Caller
from . import audit_forms, auth, listing, pacing
from .auth import needs
from .described import Bytes, tells
from .downloads import begun
from .forms.audit import Entry
from .listing import wanted_id, wanted_moment, wanted_text, wanted_words
from .parameters import Paged, PageOfAudit

blueprint = Blueprint("audit", __name__, url_prefix="/api/v1/audit")
PAGE = 100
WORDS = [*dict.fromkeys(it.partition(".")[0] for it in Audited), *Audited]
FILES = tuple(Bytes(kind, "All entries.") for kind, _ in audit_forms.FORMS.values())
FORMATS = ("json", *audit_forms.FORMS)


@blueprint.get("")
@needs(Action.READ_AUDIT)
@tells(list[Entry], query=PageOfAudit, sends=Paged, alternatives=FILES, refuses={404: "There is no such team."})
def index() -> Response:
    """The newest entries of the caller's team, of a `team` of his, or of everything; or all of them as a file."""
    who = auth.user()
    which, form = _which(who), wanted_text("format") or "json"
    asked = listing.asked(audit_trail.ORDERS, "-at", unasked=PAGE)
    if form not in FORMATS:
        raise BadRequest(f"format: It must be one of {', '.join(FORMATS)}, not {form!r}.")
    with_addresses = permissions.may(who, Action.READ_ALL_AUDIT)

    def shown(row: Any) -> Entry:
        return audit_forms.entry(row[0], row[1], with_addresses)

    if form == "json":
        page = audit_trail.page(which, asked)
        return listing.answer(page, [shown(row) for row in page.rows])
    kind, write = audit_forms.FORMS[form]
    entries = map(shown, audit_trail.all_of(which, asked.order))
    pieces = pacing.export_of(who, audit_forms.gathered(write(entries)))
    content = iter(()) if request.method == "HEAD" else begun(pieces)
    headers = {"Content-Disposition": f"attachment; filename=audit.{form}"}
    return Response(stream_with_context(content), mimetype=kind, headers=headers)


def _which(who: Caller) -> audit_trail.Which:
    run_id, words = wanted_id("run_id"), wanted_words("action", WORDS)
    return audit_trail.Which(
        _team(who), str(run_id) if run_id else wanted_text("object"), words, wanted_text("actor"),
        wanted_moment("since"), wanted_moment("until"),
    )  # fmt: skip


def _team(who: Caller) -> Any:
    """Of whose team; None: everybody's. Raises NotFound and NotAllowed."""
    if listing.is_wanted("everywhere"):
        permissions.require(who, Action.READ_ALL_AUDIT)
        return None
    team = wanted_text("team")
    return teams.acting_in(who, team, Action.READ_AUDIT).team_id if team else who.team_id
