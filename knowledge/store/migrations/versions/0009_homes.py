"""The version whose adapter answers for a fact."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """A column of `version_facts`."""
    op.add_column("version_facts", sa.Column("home", sa.Integer(), nullable=True))
