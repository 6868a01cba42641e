"""When a job that was given back is to be tried again."""

import sqlalchemy as sa
from alembic import op

from knowledge.store.tables import UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Two columns of `jobs`."""
    op.add_column("jobs", sa.Column("retry_at", UtcDateTime(), nullable=True))
    op.add_column("jobs", sa.Column("deferrals", sa.Integer(), nullable=False, server_default="0"))
