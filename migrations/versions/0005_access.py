"""Least rights for nodes, limits and fairness, the audit, users of outside issuers"""

import sqlalchemy as sa
from alembic import op

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
    """Users whom somebody else has signed in, and users who are disabled."""
    for name, kind in (('issuer', sa.Text()), ('subject', sa.Text()), ('last_seen_at', sa.DateTime(timezone=True)),
                       ('disabled_at', sa.DateTime(timezone=True))):
        op.add_column('users', sa.Column(name, kind, nullable=True))
    op.create_check_constraint('users_one_identity', 'users', '(issuer IS NULL) = (subject IS NULL)')
    op.create_check_constraint('users_operators_are_ours', 'users', 'issuer IS NULL OR NOT is_operator')
    op.create_unique_constraint('users_identity', 'users', ['issuer', 'subject'])

    op.alter_column('tickets', 'token_id', nullable=True)
    op.add_column('tickets', sa.Column('user_id', sa.Uuid(), nullable=True))
    op.add_column('tickets', sa.Column('ends_at', sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key('tickets_user_id_fkey', 'tickets', 'users', ['user_id'], ['id'], ondelete='CASCADE')
    op.create_check_constraint('tickets_one_bearer', 'tickets', '(token_id IS NULL) <> (user_id IS NULL)')
    op.create_check_constraint('tickets_end', 'tickets', '(user_id IS NULL) = (ends_at IS NULL)')


def no_issuers() -> None:
    op.execute("DELETE FROM tickets WHERE token_id IS NULL")
    op.drop_constraint('tickets_end', 'tickets')
    op.drop_constraint('tickets_one_bearer', 'tickets')
    op.drop_column('tickets', 'ends_at')
    op.drop_column('tickets', 'user_id')
    op.alter_column('tickets', 'token_id', nullable=False)

    op.drop_constraint('users_identity', 'users')
    op.drop_constraint('users_operators_are_ours', 'users')
    op.drop_constraint('users_one_identity', 'users')
    for column in ('disabled_at', 'last_seen_at', 'subject', 'issuer'):
        op.drop_column('users', column)


def downgrade() -> None:
    """Takes back each part, the last one first."""
    no_issuers()
