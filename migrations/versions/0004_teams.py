"""Teams with roles, tokens with scope and end, tickets; each user gets a team of his own, and what he has goes there"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('users', sa.Column('is_operator', sa.Boolean(), server_default='false', nullable=False))
    op.create_table('teams',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('personal_of', sa.Uuid(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['personal_of'], ['users.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('name'),
    sa.UniqueConstraint('personal_of')
    )
    op.create_table('members',
    sa.Column('team_id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('role', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("role IN ('viewer', 'member', 'owner')", name='members_role'),
    sa.ForeignKeyConstraint(['team_id'], ['teams.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('team_id', 'user_id')
    )
    op.create_index('ix_members_user_id', 'members', ['user_id'])
    op.execute("INSERT INTO teams (id, name, personal_of) SELECT gen_random_uuid(), name, id FROM users")
    op.execute("INSERT INTO members (team_id, user_id, role) SELECT id, personal_of, 'owner' FROM teams")

    op.add_column('tokens', sa.Column('team_id', sa.Uuid(), nullable=True))
    op.add_column('tokens', sa.Column('name', sa.Text(), server_default='', nullable=False))
    op.add_column('tokens', sa.Column('scope', sa.Text(), server_default='write', nullable=False))
    op.add_column('tokens', sa.Column('is_local', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('tokens', sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('tokens', sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE tokens SET team_id = teams.id FROM teams WHERE teams.personal_of = tokens.user_id")
    op.create_foreign_key('tokens_team_id_fkey', 'tokens', 'teams', ['team_id'], ['id'], ondelete='CASCADE')
    op.create_check_constraint('tokens_one_team', 'tokens', '(user_id IS NULL) = (team_id IS NULL)')
    op.create_check_constraint('tokens_scope', 'tokens', "scope IN ('read', 'write', 'admin')")
    op.create_index('tokens_by_user', 'tokens', ['user_id'])
    op.create_index('tokens_by_team', 'tokens', ['team_id'])

    for table in ('jobs', 'builds'):
        op.add_column(table, sa.Column('team_id', sa.Uuid(), nullable=True))
        op.execute(f"UPDATE {table} SET team_id = teams.id FROM teams WHERE teams.personal_of = {table}.owner_id")
        op.alter_column(table, 'team_id', nullable=False)
        op.create_foreign_key(f'{table}_team_id_fkey', table, 'teams', ['team_id'], ['id'])
    op.create_index('jobs_by_team', 'jobs', ['team_id', 'created_at'])

    op.create_table('tickets',
    sa.Column('digest', postgresql.BYTEA(), nullable=False),
    sa.Column('token_id', sa.Uuid(), nullable=False),
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['token_id'], ['tokens.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('digest')
    )
    op.create_index('ix_tickets_expires_at', 'tickets', ['expires_at'])


def downgrade() -> None:
    op.drop_table('tickets')
    op.drop_index('jobs_by_team', 'jobs')
    for table in ('builds', 'jobs'):
        op.drop_column(table, 'team_id')
    op.drop_index('tokens_by_team', 'tokens')
    op.drop_index('tokens_by_user', 'tokens')
    op.drop_constraint('tokens_scope', 'tokens')
    op.drop_constraint('tokens_one_team', 'tokens')
    for column in ('last_used_at', 'expires_at', 'is_local', 'scope', 'name', 'team_id'):
        op.drop_column('tokens', column)
    op.drop_table('members')
    op.drop_table('teams')
    op.drop_column('users', 'is_operator')
