"""Webhooks and their deliveries. A delivery is written by its event's transaction: neither is without the other."""

import base64
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.orm import Session

from knowledge.errors import Conflict, NotFound
from knowledge.ids import new_id
from knowledge.store.database import Store, now
from knowledge.store.tables import Json, WebhookDeliveryRow, WebhookRow
from knowledge.webhooks import Attempt, Delivery, DeliveryStatus, Webhook, retry_seconds

MOST_WEBHOOKS = 100
KEPT_DAYS = 7
_PENDING = WebhookDeliveryRow.status == DeliveryStatus.PENDING.value


@dataclass(frozen=True)
class Parcel:
    """A delivery that this process may try now, and all that is needed for it."""

    delivery: Delivery
    url: str
    secret: str


def announce(session: Session, event: str, namespace: str, data: Json) -> None:
    """Writes a delivery for each webhook that wants the event, inside the caller's transaction."""
    if "webhooks" not in session.info:  # a session is one transaction
        session.info["webhooks"] = [_webhook(row) for row in session.scalars(select(WebhookRow))]
    at = now()
    body = {"type": event, "timestamp": at.isoformat(), "data": data}
    session.add_all(
        WebhookDeliveryRow(
            id=new_id("delivery"),
            webhook_id=webhook.id,
            event=event,
            namespace=namespace,
            body=body,
            status=DeliveryStatus.PENDING.value,
            attempts=0,
            next_attempt_at=at,
            created_at=at,
        )
        for webhook in session.info["webhooks"]
        if webhook.wants(event, namespace)
    )


def add(store: Store, url: str, events: Sequence[str], namespaces: Sequence[str]) -> tuple[Webhook, str]:
    """A new webhook and its secret, which is not told again. Raises `Conflict` when there are `MOST_WEBHOOKS`."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    with store.write() as session:
        if (session.scalar(select(func.count()).select_from(WebhookRow)) or 0) >= MOST_WEBHOOKS:
            raise Conflict(f"There are {MOST_WEBHOOKS} webhooks already. Delete one first.")
        row = WebhookRow(
            id=new_id("webhook"),
            url=url,
            events=list(dict.fromkeys(events)),
            namespaces=list(dict.fromkeys(namespaces)),
            secret=secret,
            created_at=now(),
        )
        session.add(row)
        return _webhook(row), secret


def get(store: Store, webhook_id: str) -> Webhook:
    """Raises `NotFound`."""
    with store.read() as session:
        return _webhook(_row(session, webhook_id))


def find(store: Store) -> list[Webhook]:
    """All webhooks, oldest first."""
    with store.read() as session:
        return [_webhook(row) for row in session.scalars(select(WebhookRow).order_by(WebhookRow.id))]


def remove(store: Store, webhook_id: str) -> None:
    """Deletes a webhook and its deliveries. Raises `NotFound`."""
    with store.write() as session:
        session.delete(_row(session, webhook_id))
        session.execute(delete(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == webhook_id))


def deliveries(
    store: Store, webhook_id: str, *, status: DeliveryStatus | None = None, before: str | None = None, limit: int
) -> list[Delivery]:
    """A webhook's deliveries, newest first. `before` is the last id of the page before. Raises `NotFound`."""
    query = select(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == webhook_id)
    if status is not None:
        query = query.where(WebhookDeliveryRow.status == status.value)
    if before is not None:
        query = query.where(WebhookDeliveryRow.id < before)
    with store.read() as session:
        _row(session, webhook_id)
        return [_delivery(row) for row in session.scalars(query.order_by(WebhookDeliveryRow.id.desc()).limit(limit))]


def replay(store: Store, webhook_id: str, delivery_id: str) -> Delivery:
    """Lets a delivery be tried again, from the first attempt on, whatever became of it. Raises `NotFound`."""
    with store.write() as session:
        row = session.get(WebhookDeliveryRow, delivery_id, with_for_update=True)
        if row is None or row.webhook_id != webhook_id:
            raise NotFound(f"Webhook {webhook_id} has no delivery {delivery_id}.")
        row.status, row.attempts, row.next_attempt_at = DeliveryStatus.PENDING.value, 0, now()
        row.delivered_at = None
        return _delivery(row)


def due(store: Store) -> list[str]:
    """Ids of the webhooks that have a delivery to try now."""
    query = (
        select(WebhookDeliveryRow.webhook_id).where(_PENDING, WebhookDeliveryRow.next_attempt_at <= now()).distinct()
    )
    with store.read() as session:
        return list(session.scalars(query))


def take(store: Store, webhook_id: str, *, most: int, lease_seconds: float) -> list[Parcel]:
    """Deliveries to try now, the longest due first. Nobody else gets them until the lease has run out."""
    query = (
        select(WebhookDeliveryRow, WebhookRow)
        .join(WebhookRow, WebhookRow.id == WebhookDeliveryRow.webhook_id)
        .where(WebhookDeliveryRow.webhook_id == webhook_id, _PENDING, WebhookDeliveryRow.next_attempt_at <= now())
        .order_by(WebhookDeliveryRow.next_attempt_at, WebhookDeliveryRow.id)
        .limit(most)
        .with_for_update(of=WebhookDeliveryRow, skip_locked=True)
    )
    with store.write() as session:
        parcels = []
        for row, webhook in session.execute(query).all():
            row.attempts += 1
            row.next_attempt_at = now() + timedelta(seconds=lease_seconds)
            parcels.append(Parcel(_delivery(row), webhook.url, webhook.secret))
        return parcels


def settle(
    store: Store, tried: Delivery, attempt: Attempt, *, most_attempts: int, first_retry_seconds: float
) -> Delivery:
    """Writes down what came of an attempt, and when the next one is, if there is one. Raises `NotFound`."""
    with store.write() as session:
        row = session.get(WebhookDeliveryRow, tried.id, with_for_update=True)
        if row is None:
            raise NotFound(f"The delivery {tried.id} was deleted.")
        if row.attempts != tried.attempts or row.status != DeliveryStatus.PENDING:
            return _delivery(row)  # the lease ran out, or someone replays it: the newer attempt counts
        row.status_code, row.error = attempt.status_code, attempt.error
        if attempt.succeeded:
            row.status, row.delivered_at, row.next_attempt_at = DeliveryStatus.DELIVERED.value, now(), None
        elif attempt.final or row.attempts >= most_attempts:
            row.status, row.next_attempt_at = DeliveryStatus.GIVEN_UP.value, None
        else:
            pause = retry_seconds(row.attempts, first_retry_seconds, random.random())
            row.next_attempt_at = now() + timedelta(seconds=pause)
        return _delivery(row)


def counts(store: Store) -> dict[str, int]:
    """Number of deliveries by status."""
    with store.read() as session:
        query = select(WebhookDeliveryRow.status, func.count().label("number")).group_by(WebhookDeliveryRow.status)
        return {row.status: row.number for row in session.execute(query)}


def forget_old(store: Store) -> None:
    """Deletes deliveries that ended `KEPT_DAYS` ago, and those whose webhook was deleted while they were written."""
    old = and_(~_PENDING, WebhookDeliveryRow.created_at < now() - timedelta(days=KEPT_DAYS))
    lost = WebhookDeliveryRow.webhook_id.not_in(select(WebhookRow.id))
    with store.write() as session:
        session.execute(delete(WebhookDeliveryRow).where(or_(old, lost)))


def _row(session: Session, webhook_id: str) -> WebhookRow:
    row = session.get(WebhookRow, webhook_id)
    if row is None:
        raise NotFound(f"There is no webhook {webhook_id}.")
    return row


def _webhook(row: WebhookRow) -> Webhook:
    return Webhook(row.id, row.url, tuple(row.events), tuple(row.namespaces), row.created_at)


def _delivery(row: WebhookDeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        webhook_id=row.webhook_id,
        event=row.event,
        namespace=row.namespace,
        body=dict(row.body),
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        status_code=row.status_code,
        error=row.error,
        created_at=row.created_at,
        delivered_at=row.delivered_at,
    )
