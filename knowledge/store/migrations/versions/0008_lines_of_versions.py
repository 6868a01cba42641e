"""Which version's weights a version continues, every fact that they saw, and what the gate measured."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0004"


def upgrade() -> None:
    """Three columns of `versions`, one of `version_facts`."""
    op.add_column("versions", sa.Column("parent", sa.Integer(), nullable=True))
    op.add_column("versions", sa.Column("retention", sa.Float(), nullable=True))
    op.add_column("versions", sa.Column("canaries", sa.Float(), nullable=True))
    op.add_column("version_facts", sa.Column("holds", sa.Boolean(), nullable=False, server_default=sa.true()))
