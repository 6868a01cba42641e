"""Webhooks: who is told of what, and how often it is tried."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from knowledge.facts import FactStatus
from knowledge.jobs import JobStatus

EVENTS = (
    "fact.*",
    *(f"fact.{status}" for status in FactStatus),
    "job.*",
    *(f"job.{status}" for status in JobStatus),
)
"""What a webhook can be told of: every status that a fact or a job can reach; `.*` stands for all of them."""

RETRY_FACTOR = 3.0
LONGEST_RETRY_SECONDS = 6 * 3600.0


class DeliveryStatus(StrEnum):
    """Where a delivery stands. `given_up` was tried too often, or may not go where its URL leads."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True)
class Webhook:
    """Tells `url` of the events that it wants. No `events` or `namespaces` means all of them."""

    id: str
    url: str
    events: tuple[str, ...]
    namespaces: tuple[str, ...]
    created_at: datetime

    def wants(self, event: str, namespace: str) -> bool:
        """Whether it is told of an event, for example `fact.live`."""
        kind = event.partition(".")[0]
        return (not self.events or event in self.events or f"{kind}.*" in self.events) and (
            not self.namespaces or namespace in self.namespaces
        )


@dataclass(frozen=True)
class Delivery:
    """One event on its way to one webhook. `status_code` and `error` are of the last attempt."""

    id: str
    webhook_id: str
    event: str
    namespace: str
    body: dict[str, object]
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    status_code: int | None
    error: str | None
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True)
class Attempt:
    """What came of an attempt: the receiver's status, or why there is none. After a `final` one none follows."""

    status_code: int | None
    error: str | None
    final: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the receiver took it."""
        return self.status_code is not None and 200 <= self.status_code < 300


def retry_seconds(attempts: int, first_seconds: float, chance: float) -> float:
    """The pause after that many attempts: three times as long each time, up to six hours.

    `chance`, 0..1, takes up to half of it away, so that what failed together is not tried again together.
    """
    longest = min(first_seconds * RETRY_FACTOR ** (attempts - 1), LONGEST_RETRY_SECONDS)
    return longest * (1 - chance / 2)
