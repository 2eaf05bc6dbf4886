"""Least rights for nodes, limits and fairness, the audit, users of outside issuers"""

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    nodes()
    limits()
    audit()
    issuers()


def nodes() -> None:
    """What a node is at the broker, and whether it was revoked."""


def limits() -> None:
    """How much a user and a team may have, and whose turn is next."""


def audit() -> None:
    """Who did what, when, from where, and why."""


def issuers() -> None:
    """Users whom somebody else has signed in."""


def downgrade() -> None:
    """Takes back each part, the last one first."""
