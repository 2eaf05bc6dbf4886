"""Reliability: how attempts ended, keys of repeated requests, nodes that drain or are in quarantine"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

COLUMNS = {
    'nodes': [
        sa.Column('life', sa.Uuid(), nullable=True),
        sa.Column('drain', sa.Text(), nullable=True),
        sa.Column('quarantine', sa.Text(), nullable=True),
        sa.Column('checked_at', sa.DateTime(timezone=True), nullable=True),
    ],
    'jobs': [sa.Column('time_limit', sa.BigInteger(), nullable=True)],
    'attempts': [
        sa.Column('kind', sa.Text(), nullable=True),
        sa.Column('is_fault', sa.Boolean(), server_default=sa.text('false'), nullable=False),
        sa.Column('task_sent_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('resend', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column('resends', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('resend_at', sa.DateTime(timezone=True), nullable=True),
    ],
}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.add_column(table, column)
    op.create_index('attempts_by_sending', 'attempts', ['task_sent_at'])
    op.create_index('attempts_by_node', 'attempts', ['node_id', 'ended_at'])
    op.create_table('idempotency_keys',
    sa.Column('owner_id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('digest', sa.Text(), nullable=False),
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['owner_id'], ['users.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('owner_id', 'key')
    )
    op.create_index('ix_idempotency_keys_created_at', 'idempotency_keys', ['created_at'])
    op.create_table('rejected_counts',
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('count', sa.BigInteger(), nullable=False),
    sa.Column('last_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('source')
    )


def downgrade() -> None:
    op.drop_table('rejected_counts')
    op.drop_table('idempotency_keys')
    op.drop_index('attempts_by_node', 'attempts')
    op.drop_index('attempts_by_sending', 'attempts')
    for table, columns in COLUMNS.items():
        for column in reversed(columns):
            op.drop_column(table, column.name)
