"""Forgetting, conflicts between facts, and what a version was trained from."""

import sqlalchemy as sa
from alembic import op

from knowledge.store.tables import UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Facts posted before have no claims: nothing is compared with them."""
    op.add_column("facts", sa.Column("forget_requested_at", UtcDateTime(), nullable=True))
    op.add_column("facts", sa.Column("superseded_by", sa.String(length=255), nullable=True))
    op.create_index("ix_facts_expires_at", "facts", ["expires_at"], unique=False)
    op.create_index("ix_facts_forget_requested_at", "facts", ["forget_requested_at"], unique=False)
    op.add_column("versions", sa.Column("parent", sa.Integer(), nullable=True))
    op.add_column("versions", sa.Column("deleted_at", UtcDateTime(), nullable=True))
    op.create_index(op.f("ix_probe_results_job_id"), "probe_results", ["job_id"], unique=False)
    op.create_table(
        "forgettings",
        sa.Column("fact_id", sa.String(length=255), nullable=False),
        sa.Column("namespace", sa.String(length=255), nullable=False),
        sa.Column("caller", sa.String(length=255), nullable=False),
        sa.Column("key_id", sa.String(length=255), nullable=True),
        sa.Column("job_id", sa.String(length=255), nullable=True),
        sa.Column("version_before", sa.Integer(), nullable=True),
        sa.Column("version_after", sa.Integer(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["fact_id"], ["facts.id"], name=op.f("fk_forgettings_fact_id_facts")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_forgettings_job_id_jobs")),
        sa.PrimaryKeyConstraint("fact_id", name=op.f("pk_forgettings")),
    )
    op.create_index(op.f("ix_forgettings_job_id"), "forgettings", ["job_id"], unique=False)
    op.create_table(
        "claims",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("fact_id", sa.String(length=255), nullable=False),
        sa.Column("slot", sa.String(length=255), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["fact_id"], ["facts.id"], name=op.f("fk_claims_fact_id_facts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
    )
    op.create_index(op.f("ix_claims_fact_id"), "claims", ["fact_id"], unique=False)
    op.create_index(op.f("ix_claims_slot"), "claims", ["slot"], unique=False)
