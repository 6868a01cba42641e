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
    type_annotation_map = {  # noqa: RUF012
        datetime: UtcDateTime,
        Json: JSON,
        list[str]: JSON(none_as_null=True),
        str: String(255),
    }


class NamespaceRow(Table):
    """`last_version` is the newest number given out, whatever became of it."""

    __tablename__ = "namespaces"
    name: Mapped[str] = mapped_column(primary_key=True)
    live_version: Mapped[int | None]
    last_version: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]


class JobRow(Table):
    """`lease_token` grows with every claim: a write that names an older token changes nothing.

    `deferrals` counts how often it was given back for later; until `retry_at` it is not sent. `trace_parent` is the
    W3C trace context of the post that made it.
    """

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
    retry_at: Mapped[datetime | None]
    deferrals: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    trace_parent: Mapped[str | None]
    __table_args__ = (
        Index("ix_jobs_status", "status"),
        Index("ix_jobs_namespace_id", "namespace", "id"),
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
    """A passage and its status; unique by content within a namespace while it is known.

    `forget_requested_at` marks a fact that is to be forgotten: nothing quotes or teaches it any more. `superseded_by`
    names the fact that takes its place as soon as a version that holds that one is live.
    """

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
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
    forget_requested_at: Mapped[datetime | None] = mapped_column(index=True)
    superseded_by: Mapped[str | None]
    __table_args__ = (
        Index("ix_facts_namespace_status", "namespace", "status"),
        Index("ix_facts_namespace_id", "namespace", "id"),
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


class ClaimRow(Table):
    """What a fact says that can be true in one way only. `slot` is a hash: equal slots ask the same of a namespace."""

    __tablename__ = "claims"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    fact_id: Mapped[str] = mapped_column(ForeignKey("facts.id"), index=True)
    slot: Mapped[str] = mapped_column(index=True)
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)


class ForgettingRow(Table):
    """The record of forgetting a fact: who asked for it, and between which versions it went."""

    __tablename__ = "forgettings"
    fact_id: Mapped[str] = mapped_column(ForeignKey("facts.id"), primary_key=True)
    namespace: Mapped[str]
    caller: Mapped[str]
    key_id: Mapped[str | None]
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"), index=True)
    version_before: Mapped[int | None]
    version_after: Mapped[int | None]
    done_at: Mapped[datetime | None]


class ProbeResultRow(Table):
    """What version `version` answered, asked through the server that serves."""

    __tablename__ = "probe_results"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    probe_id: Mapped[int] = mapped_column(ForeignKey("probes.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    version: Mapped[int]
    answered: Mapped[str] = mapped_column(Text)
    score: Mapped[float]
    passed: Mapped[bool]
    at: Mapped[datetime]
    # The newest result of a probe is the last one of its part of the index.
    __table_args__ = (Index("ix_probe_results_probe_id", "probe_id", "id"),)


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
    """An adapter that was, is or may become live.

    `parent` is the version whose weights its training began with, None when it began with the base model.
    """

    __tablename__ = "versions"
    namespace: Mapped[str] = mapped_column(ForeignKey("namespaces.name"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    adapter: Mapped[str] = mapped_column(unique=True)
    path: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(index=True)
    recipe_hash: Mapped[str]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    score: Mapped[float]
    parent: Mapped[int | None]
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    retention: Mapped[float | None]
    canaries: Mapped[float | None]


class VersionFactRow(Table):
    """Which facts a version holds; `home` is the version whose adapter answers for it, null where that is this one."""

    __tablename__ = "version_facts"
    namespace: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    fact_id: Mapped[str] = mapped_column(ForeignKey("facts.id"), primary_key=True)
    home: Mapped[int | None]
    __table_args__ = (ForeignKeyConstraint(["namespace", "number"], ["versions.namespace", "versions.number"]),)


class IdempotencyRow(Table):
    """The stored answer to a request key; `request_hash` tells a repeat from another request with the same key."""

    __tablename__ = "idempotency_keys"
    namespace: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    answer: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(index=True)


class WorkerRow(Table):
    """A worker and when it was last alive."""

    __tablename__ = "workers"
    name: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime]


class KeyRow(Table):
    """An API key. Of its secret only the halves of a hash are kept; `namespaces` is NULL for all."""

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    finder: Mapped[str] = mapped_column(unique=True)
    verifier: Mapped[str]
    scopes: Mapped[list[str]]
    namespaces: Mapped[list[str] | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SessionRow(Table):
    """A browser that somebody signed in with a key. Of its secret only the halves of a hash are kept."""

    __tablename__ = "sessions"
    finder: Mapped[str] = mapped_column(primary_key=True)
    verifier: Mapped[str]
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class AuditRow(Table):
    """One act of a caller. Rows are added and never changed."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    caller: Mapped[str]
    key_id: Mapped[str | None]
    act: Mapped[str]
    namespace: Mapped[str | None] = mapped_column(index=True)
    object: Mapped[str | None]
    details: Mapped[Json]


class WebhookRow(Table):
    """Who wants to be told of what. `secret` signs, so it is kept as it is."""

    __tablename__ = "webhooks"
    id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[str]]
    namespaces: Mapped[list[str]]
    secret: Mapped[str]
    created_at: Mapped[datetime]


class WebhookDeliveryRow(Table):
    """An event on its way to a webhook. No foreign key: to delete a webhook must not fail a publish that tells it."""

    __tablename__ = "webhook_deliveries"
    id: Mapped[str] = mapped_column(primary_key=True)
    webhook_id: Mapped[str]
    event: Mapped[str]
    namespace: Mapped[str]
    body: Mapped[Json]
    status: Mapped[str]
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    status_code: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_webhook_deliveries_status_next", "status", "next_attempt_at"),
        Index("ix_webhook_deliveries_webhook_id", "webhook_id", "id"),
    )
