"""Unity training: builds, episodes, logs, files by name, and what jobs may ask for"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('builds',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('env_id', sa.Text(), nullable=False),
    sa.Column('version', sa.Text(), nullable=False),
    sa.Column('owner_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('sha256', sa.Text(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('upload_id', sa.Text(), nullable=True),
    sa.Column('parts', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('manifest', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('unpacked_size', sa.BigInteger(), nullable=True),
    sa.Column('files', sa.BigInteger(), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('ready_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('UPLOADING', 'VERIFYING', 'READY', 'REJECTED', 'RETIRED')", name='builds_state'),
    sa.ForeignKeyConstraint(['owner_id'], ['users.id'], ),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('env_id', 'version', name='builds_version')
    )
    op.create_index('builds_ready', 'builds', ['env_id', 'ready_at'], unique=False, postgresql_where=sa.text("state = 'READY'"))
    op.create_table('build_checks',
    sa.Column('build_id', sa.Uuid(), nullable=False),
    sa.Column('node_id', sa.Uuid(), nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('seconds', sa.Double(), nullable=False),
    sa.Column('found', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('checked_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['build_id'], ['builds.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['node_id'], ['nodes.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('build_id', 'node_id')
    )
    op.create_table('dropped_objects',
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('key')
    )
    op.create_table('episodes',
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('attempt', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.Column('instance', sa.BigInteger(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('start', sa.BigInteger(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('times_ms', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('is_complete', sa.Boolean(), nullable=False),
    sa.Column('began_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['run_id', 'attempt'], ['attempts.run_id', 'attempts.number'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'attempt', 'number')
    )
    op.create_table('log_pieces',
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('attempt', sa.BigInteger(), nullable=False),
    sa.Column('n', sa.BigInteger(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['run_id', 'attempt'], ['attempts.run_id', 'attempts.number'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'attempt', 'n')
    )
    op.add_column('artifacts', sa.Column('name', sa.Text(), nullable=True))
    op.execute("UPDATE artifacts SET name = CASE kind WHEN 'model' THEN 'model.onnx' ELSE 'checkpoint.pt' END")
    op.drop_constraint('artifacts_pkey', 'artifacts', type_='primary')
    op.create_primary_key('artifacts_pkey', 'artifacts', ['run_id', 'attempt', 'name'])
    op.add_column('artifacts', sa.Column('step', sa.BigInteger(), nullable=True))
    op.create_index('artifacts_by_kind', 'artifacts', ['run_id', 'kind', 'attempt', 'step'], unique=False)
    op.add_column('attempts', sa.Column('logs_recorded', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('attempts', sa.Column('start_step', sa.BigInteger(), server_default='0', nullable=False))
    op.execute("UPDATE artifacts SET step = CAST(manifest->>'step' AS bigint) WHERE kind = 'checkpoint'")
    op.execute("UPDATE attempts SET start_step = coalesce((SELECT min(step) - 1 FROM metrics"
               " WHERE metrics.run_id = attempts.run_id AND metrics.attempt = attempts.number), jobs.steps_before)"
               " FROM jobs WHERE jobs.run_id = attempts.run_id AND attempts.number > 1")
    op.add_column('attempts', sa.Column('bundle', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column('jobs', sa.Column('env_version', sa.Text(), nullable=True))
    op.add_column('jobs', sa.Column('build_id', sa.Uuid(), nullable=True))
    op.add_column('jobs', sa.Column('trainer', sa.Text(), server_default='mlagents', nullable=False))
    op.add_column('jobs', sa.Column('num_envs', sa.BigInteger(), server_default='1', nullable=False))
    op.add_column('jobs', sa.Column('checkpoint_interval', sa.BigInteger(), nullable=True))
    op.add_column('jobs', sa.Column('hyperparameters', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False))
    op.add_column('jobs', sa.Column('recording', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False))
    op.add_column('jobs', sa.Column('requires', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False))
    op.add_column('jobs', sa.Column('queue', sa.Text(), server_default='train', nullable=False))
    op.add_column('jobs', sa.Column('waiting_for', sa.Text(), nullable=True))
    op.add_column('jobs', sa.Column('initialize_from', sa.Uuid(), nullable=True))
    op.add_column('jobs', sa.Column('initialize_key', sa.Text(), nullable=True))
    op.add_column('jobs', sa.Column('initialize_sha256', sa.Text(), nullable=True))
    op.add_column('jobs', sa.Column('rerun_of', sa.Uuid(), nullable=True))
    op.add_column('jobs', sa.Column('comparison', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_foreign_key('jobs_build_id_fkey', 'jobs', 'builds', ['build_id'], ['id'])
    op.add_column('nodes', sa.Column('has', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False))
    op.add_column('outbox', sa.Column('build_id', sa.Uuid(), nullable=True))
    op.add_column('outbox', sa.Column('queue', sa.Text(), server_default='train', nullable=False))
    op.alter_column('outbox', 'run_id',
               existing_type=sa.UUID(),
               nullable=True)
    op.create_index(op.f('ix_outbox_build_id'), 'outbox', ['build_id'], unique=False)
    op.create_foreign_key('outbox_build_id_fkey', 'outbox', 'builds', ['build_id'], ['id'], ondelete='CASCADE')


def downgrade() -> None:
    op.drop_constraint('outbox_build_id_fkey', 'outbox', type_='foreignkey')
    op.drop_index(op.f('ix_outbox_build_id'), table_name='outbox')
    op.execute("DELETE FROM outbox WHERE run_id IS NULL")
    op.alter_column('outbox', 'run_id',
               existing_type=sa.UUID(),
               nullable=False)
    op.drop_column('outbox', 'queue')
    op.drop_column('outbox', 'build_id')
    op.drop_column('nodes', 'has')
    op.drop_constraint('jobs_build_id_fkey', 'jobs', type_='foreignkey')
    op.drop_column('jobs', 'comparison')
    op.drop_column('jobs', 'rerun_of')
    op.drop_column('jobs', 'initialize_sha256')
    op.drop_column('jobs', 'initialize_key')
    op.drop_column('jobs', 'initialize_from')
    op.drop_column('jobs', 'waiting_for')
    op.drop_column('jobs', 'queue')
    op.drop_column('jobs', 'requires')
    op.drop_column('jobs', 'recording')
    op.drop_column('jobs', 'hyperparameters')
    op.drop_column('jobs', 'checkpoint_interval')
    op.drop_column('jobs', 'num_envs')
    op.drop_column('jobs', 'trainer')
    op.drop_column('jobs', 'build_id')
    op.drop_column('jobs', 'env_version')
    op.drop_column('attempts', 'bundle')
    op.drop_column('attempts', 'start_step')
    op.drop_column('attempts', 'logs_recorded')
    op.drop_index('artifacts_by_kind', table_name='artifacts')
    op.drop_column('artifacts', 'step')
    op.drop_constraint('artifacts_pkey', 'artifacts', type_='primary')
    op.execute("DELETE FROM artifacts WHERE name NOT IN ('model.onnx', 'checkpoint.pt')")
    op.create_primary_key('artifacts_pkey', 'artifacts', ['run_id', 'attempt', 'kind'])
    op.drop_column('artifacts', 'name')
    op.drop_table('log_pieces')
    op.drop_table('episodes')
    op.drop_table('dropped_objects')
    op.drop_table('build_checks')
    op.drop_index('builds_ready', table_name='builds', postgresql_where=sa.text("state = 'READY'"))
    op.drop_table('builds')
