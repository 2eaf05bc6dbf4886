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
    op.add_column("nodes", sa.Column("broker_user", sa.Text(), nullable=True))
    op.add_column("nodes", sa.Column("broker_hash", sa.Text(), nullable=True))
    op.add_column("nodes", sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True))
    op.create_unique_constraint("nodes_broker_user_key", "nodes", ["broker_user"])


def limits() -> None:
    """How much a user and a team may have, and whose turn is next."""
    op.create_table('limits',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=True),
    sa.Column('team_id', sa.Uuid(), nullable=True),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('value', sa.BigInteger(), nullable=False),
    sa.Column('set_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('(user_id IS NULL) <> (team_id IS NULL)', name='limits_one_subject'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['team_id'], ['teams.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('user_id', 'name', name='limits_of_user'),
    sa.UniqueConstraint('team_id', 'name', name='limits_of_team')
    )
    op.create_table('turns',
    sa.Column('owner_id', sa.Uuid(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['owner_id'], ['users.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('owner_id')
    )
    op.add_column('jobs', sa.Column('queued_at', sa.DateTime(timezone=True), server_default=sa.text('now()'),
                                    nullable=False))
    op.execute("UPDATE jobs SET queued_at = created_at")
    for column in ('owner_id', 'team_id'):
        op.create_index(f"jobs_waiting_by_{column[:-3]}", 'jobs', [column],
                        postgresql_where=sa.text("state = 'SUBMITTED'"))
        op.add_column('outbox', sa.Column(column, sa.Uuid(), nullable=True))
    for column in ('queued_at', 'first_sent_at'):
        op.add_column('outbox', sa.Column(column, sa.DateTime(timezone=True), nullable=True))
    op.add_column('outbox', sa.Column('times_sent', sa.BigInteger(), server_default='0', nullable=False))
    op.execute("""
    UPDATE outbox SET owner_id = jobs.owner_id, team_id = jobs.team_id, first_sent_at = sent_at,
                      queued_at = jobs.created_at
    FROM jobs WHERE jobs.run_id = outbox.run_id AND task = 'train.run'
    """)
    op.drop_index('outbox_unsent', 'outbox')
    op.create_index('outbox_unsent', 'outbox', ['id'],
                    postgresql_where=sa.text("sent_at IS NULL AND task <> 'train.run'"))
    op.create_index('outbox_waiting', 'outbox', ['queue', 'team_id', 'owner_id', sa.text('priority DESC'), 'queued_at', 'id'],
                    postgresql_where=sa.text("sent_at IS NULL AND task = 'train.run'"))
    op.create_index('outbox_sent', 'outbox', ['queue'],
                    postgresql_where=sa.text("sent_at IS NOT NULL AND task = 'train.run'"))


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
    op.create_index('audit_of_steps', 'audit', ['actor_id', 'at'],
                    postgresql_where=sa.text("action IN ('job.submitted', 'job.resumed')"))
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


def no_limits() -> None:
    for index in ('outbox_sent', 'outbox_waiting', 'outbox_unsent'):
        op.drop_index(index, 'outbox')
    op.create_index('outbox_unsent', 'outbox', ['id'], postgresql_where=sa.text('sent_at IS NULL'))
    for column in ('times_sent', 'first_sent_at', 'queued_at', 'team_id', 'owner_id'):
        op.drop_column('outbox', column)
    for index in ('jobs_waiting_by_team', 'jobs_waiting_by_owner'):
        op.drop_index(index, 'jobs')
    op.drop_column('jobs', 'queued_at')
    op.drop_table('turns')
    op.drop_table('limits')


def downgrade() -> None:
    """Takes back each part, the last one first."""
    op.drop_constraint("nodes_broker_user_key", "nodes")
    op.drop_column("nodes", "revoked_at")
    op.drop_column("nodes", "broker_hash")
    op.drop_column("nodes", "broker_user")
    no_issuers()
    no_audit()
    no_limits()
