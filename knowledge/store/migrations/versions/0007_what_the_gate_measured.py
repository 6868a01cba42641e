"""What the gate measured of a version."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Two columns of `versions`."""
    op.add_column("versions", sa.Column("retention", sa.Double(), nullable=True))
    op.add_column("versions", sa.Column("canaries", sa.Double(), nullable=True))
