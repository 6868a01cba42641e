"""Browsers that are signed in, and indexes for lists that are read page by page."""

import sqlalchemy as sa
from alembic import op

from knowledge.store.tables import UtcDateTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """The table `sessions`; indexes on `facts`, `jobs` and `probe_results`."""
    op.create_table(
        "sessions",
        sa.Column("finder", sa.String(255), nullable=False),
        sa.Column("verifier", sa.String(255), nullable=False),
        sa.Column("key_id", sa.String(255), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_sessions_key_id_api_keys"),
        sa.PrimaryKeyConstraint("finder", name="pk_sessions"),
    )
    op.create_index("ix_sessions_key_id", "sessions", ["key_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_index("ix_facts_namespace_id", "facts", ["namespace", "id"])
    op.create_index("ix_jobs_namespace_id", "jobs", ["namespace", "id"])
    op.drop_index("ix_probe_results_probe_id", "probe_results")
    op.create_index("ix_probe_results_probe_id", "probe_results", ["probe_id", "id"])
