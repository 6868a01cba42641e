"""The audit trail: who did what to what, and when. Written in the transaction of the act itself."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Act(StrEnum):
    """What is written down.

    The object is a job's id for the first three, a fact's id for `forgotten` and `probe-added`, `namespace@version`
    for `activated`, and a key's id.
    """

    TAUGHT = "taught"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    FORGOTTEN = "forgotten"
    ACTIVATED = "activated"
    PROBE_ADDED = "probe-added"
    KEY_CREATED = "key-created"
    KEY_REVOKED = "key-revoked"


@dataclass(frozen=True)
class Entry:
    """One act. `caller` is the key's name, or one of the callers without a key, whose `key_id` is None."""

    id: int
    at: datetime
    caller: str
    key_id: str | None
    act: Act
    namespace: str | None
    object: str | None
    details: dict[str, Any]
