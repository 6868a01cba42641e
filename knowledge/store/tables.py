"""The tables. Rows never leave `knowledge.store`: its functions return domain types."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, ForeignKeyConstraint, Index, MetaData, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

Json = dict[str, Any]


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no time zone, so one is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Refuses a moment without a zone."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime without a time zone")
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """UTC, always."""
        return (
            value if value is None else (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))
        )


class Table(DeclarativeBase):
    """Names every constraint, so that a migration can name it too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, Json: JSON, str: String(255)}  # noqa: RUF012


class NamespaceRow(Table):
    """`last_version` is the newest number given out, whatever became of it."""

    __tablename__ = "namespaces"
    name: Mapped[str] = mapped_column(primary_key=True)
    live_version: Mapped[int | None]
    last_version: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]


class JobRow(Table):
    """`lease_token` grows with every claim: a write that names an older token changes nothing."""

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(primary_key=True)
    namespace: Mapped[str] = mapped_column(ForeignKey("namespaces.name"))
    version: Mapped[int]
    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    lease_token: Mapped[int] = mapped_column(default=0)
    lease_expires_at: Mapped[datetime | None]
    worker: Mapped[str | None]
    progress: Mapped[Json | None]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_jobs_status", "status"),
        # One job gathers a namespace's posts.
        Index(
            "uq_jobs_one_queued",
            "namespace",
            unique=True,
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
    )


_KNOWN = text("status NOT IN ('superseded', 'forgotten', 'rejected')")


class FactRow(Table):
    """A passage and its status; unique by content within a namespace while it is known."""

    __tablename__ = "facts"
    id: Mapped[str] = mapped_column(primary_key=True)
    namespace: Mapped[str] = mapped_column(ForeignKey("namespaces.name"))
    document_id: Mapped[str]
    text: Mapped[str] = mapped_column(Text)
    title: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str | None] = mapped_column(Text)
    key: Mapped[str | None]
    meta: Mapped[Json]
    status: Mapped[str]
    content_hash: Mapped[str]
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    version: Mapped[int | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_facts_namespace_status", "namespace", "status"),
        Index("ix_facts_namespace_key", "namespace", "key"),
        Index("ix_facts_job_id", "job_id"),
        Index(
            "uq_facts_content", "namespace", "content_hash", unique=True, sqlite_where=_KNOWN, postgresql_where=_KNOWN
        ),
    )


class ProbeRow(Table):
    """A question that proves a fact."""

    __tablename__ = "probes"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    fact_id: Mapped[str] = mapped_column(ForeignKey("facts.id"), index=True)
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    direction: Mapped[str]
    origin: Mapped[str]


class ProbeResultRow(Table):
    """What version `version` answered, asked through the server that serves."""

    __tablename__ = "probe_results"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    probe_id: Mapped[int] = mapped_column(ForeignKey("probes.id"), index=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    version: Mapped[int]
    answered: Mapped[str] = mapped_column(Text)
    score: Mapped[float]
    passed: Mapped[bool]
    at: Mapped[datetime]


class FactEventRow(Table):
    """One status change of a fact."""

    __tablename__ = "fact_events"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    fact_id: Mapped[str] = mapped_column(ForeignKey("facts.id"), index=True)
    status: Mapped[str]
    job_id: Mapped[str | None]
    at: Mapped[datetime]


class JobEventRow(Table):
    """One thing that happened to a job: its `id` is what `Last-Event-ID` names."""

    __tablename__ = "job_events"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    kind: Mapped[str]
    at: Mapped[datetime]
    data: Mapped[Json]


class VersionRow(Table):
    """An adapter that was, is or may become live."""

    __tablename__ = "versions"
    namespace: Mapped[str] = mapped_column(ForeignKey("namespaces.name"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    adapter: Mapped[str] = mapped_column(unique=True)
    path: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(index=True)
    recipe_hash: Mapped[str]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    score: Mapped[float]
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]


class VersionFactRow(Table):
    """Which facts a version holds."""

    __tablename__ = "version_facts"
    namespace: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    fact_id: Mapped[str] = mapped_column(ForeignKey("facts.id"), primary_key=True)
    __table_args__ = (ForeignKeyConstraint(["namespace", "number"], ["versions.namespace", "versions.number"]),)


class IdempotencyRow(Table):
    """The stored answer to a request key; `request_hash` tells a repeat from another request with the same key."""

    __tablename__ = "idempotency_keys"
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    answer: Mapped[Json]
    created_at: Mapped[datetime]


class WorkerRow(Table):
    """A worker and when it was last alive."""

    __tablename__ = "workers"
    name: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime]
