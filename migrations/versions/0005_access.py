"""Least rights for nodes, limits and fairness, the audit, users of outside issuers"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

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
    op.create_table('audit',
    sa.Column('id', sa.BigInteger(), sa.Identity(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('action', sa.Text(), nullable=False),
    sa.Column('object', sa.Text(), nullable=False),
    sa.Column('team_id', sa.Uuid(), nullable=True),
    sa.Column('actor_type', sa.Text(), nullable=False),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('actor_id', sa.Uuid(), nullable=True),
    sa.Column('token', sa.Text(), server_default='', nullable=False),
    sa.Column('token_id', sa.Uuid(), nullable=True),
    sa.Column('origin', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('details', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('audit_by_time', 'audit', ['at', 'id'])
    op.create_index('audit_by_team', 'audit', ['team_id', 'at', 'id'])
    op.create_index('audit_by_object', 'audit', ['object', 'at', 'id'])
    op.execute(REFUSE_CHANGES)
    op.execute("CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON audit "
               "FOR EACH ROW EXECUTE FUNCTION refuse_changes_of_the_audit()")
    op.execute("CREATE TRIGGER audit_is_never_emptied BEFORE TRUNCATE ON audit "
               "FOR EACH STATEMENT EXECUTE FUNCTION refuse_changes_of_the_audit()")


def no_audit() -> None:
    op.drop_table('audit')
    op.execute("DROP FUNCTION refuse_changes_of_the_audit()")


REFUSE_CHANGES = """
CREATE FUNCTION refuse_changes_of_the_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND current_setting('train_jobs.audit_retention', true) = 'on' THEN
    RETURN OLD;  -- the sweeper, which AUDIT_DAYS tells to
  END IF;
  RAISE EXCEPTION 'The audit is only added to: % is refused.', TG_OP;
END $$
"""


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
    no_audit()
