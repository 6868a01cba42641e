"""The trace that a job belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """A column of `jobs`."""
    op.add_column("jobs", sa.Column("trace_parent", sa.String(255), nullable=True))
