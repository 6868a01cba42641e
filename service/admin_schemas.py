"""What those who run the service send and get: API keys, the audit trail, webhooks."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, JsonValue, StringConstraints

from knowledge.audit import Entry
from knowledge.keys import MOST_NAME_CHARACTERS, Key, Scope
from knowledge.webhooks import EVENTS, Delivery, DeliveryStatus, Webhook
from service.schemas import Moment, NamespaceName, Request

_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_REST = "([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
WEBHOOK_URL_PATTERN = rf"^https?://({_LABEL}\.)*{_LABEL}(:({_PORT}))?([/?]{_REST})?$"
KEY_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9 ._@:'+/-]*$"


class KeyIn(Request):
    """A key to make."""

    name: Annotated[str, StringConstraints(pattern=KEY_NAME_PATTERN, max_length=MOST_NAME_CHARACTERS)] = Field(
        examples=["shop-importer"], description="Who will use it: the audit trail shows it."
    )
    scopes: list[Scope] = Field(min_length=1, description="`admin` includes the others.")
    namespaces: list[NamespaceName] | None = Field(None, min_length=1, max_length=1000, description="None: all.")
    expires_at: Moment | None = None


class KeyOut(BaseModel):
    """A key without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    namespaces: list[str] | None = Field(description="None: all.")
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="Written down once a minute.")
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: Key) -> "KeyOut":
        """From the domain."""
        return cls(
            id=key.id,
            name=key.name,
            scopes=sorted(key.scopes),
            namespaces=None if key.namespaces is None else sorted(key.namespaces),
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
            revoked_at=key.revoked_at,
        )


class NewKeyOut(KeyOut):
    """A new key with its secret."""

    secret: str = Field(description="Send it as `Authorization: Bearer …`. It is shown this once.")


class KeysOut(BaseModel):
    """Keys, oldest first."""

    keys: list[KeyOut]


class EntryOut(BaseModel):
    """One act."""

    id: int
    at: datetime
    caller: str = Field(description="The key's name; without a key `loopback`, `anybody`, `command` or `engrain`.")
    key_id: str | None
    act: str
    namespace: str | None
    object: str | None = Field(description="A job's id, `namespace@version`, or a key's id.")
    details: dict[str, JsonValue]

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """From the domain."""
        return cls.model_validate(entry.__dict__)


class AuditOut(BaseModel):
    """A page of acts, newest first."""

    entries: list[EntryOut]
    next: int | None = Field(description="Pass it as `before` for the next page.")


class WebhookIn(Request):
    """Where to tell of what."""

    url: Annotated[str, StringConstraints(pattern=WEBHOOK_URL_PATTERN, max_length=2000)] = Field(
        examples=["https://example.com/engrain"]
    )
    events: list[Literal[EVENTS]] = Field(  # type: ignore[valid-type]
        default_factory=list, max_length=100, description="`fact.*` and `job.*` stand for all of theirs. Empty: all."
    )
    namespaces: list[NamespaceName] = Field(default_factory=list, max_length=100, description="Empty: all.")


class WebhookOut(BaseModel):
    """A webhook."""

    id: str
    url: str
    events: list[str]
    namespaces: list[str]
    created_at: datetime

    @classmethod
    def of(cls, webhook: Webhook) -> Self:
        """From the domain."""
        return cls.model_validate({name: getattr(webhook, name) for name in WebhookOut.model_fields})


class NewWebhookOut(WebhookOut):
    """A webhook and its secret, which is not told again."""

    secret: str = Field(
        description="`whsec_` and 32 bytes in base64; libraries for Standard Webhooks take it as it is."
    )


class WebhooksOut(BaseModel):
    """All webhooks, oldest first."""

    webhooks: list[WebhookOut]


class DeliveryOut(BaseModel):
    """An event on its way to a webhook."""

    id: str = Field(description="The `webhook-id` that the receiver sees.")
    webhook_id: str
    event: str
    namespace: str
    body: dict[str, JsonValue]
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    status_code: int | None = Field(description="What the receiver answered to the last attempt.")
    error: str | None
    created_at: datetime
    delivered_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """From the domain."""
        return cls.model_validate(delivery.__dict__)


class DeliveriesOut(BaseModel):
    """A page of deliveries, newest first."""

    deliveries: list[DeliveryOut]
    next: str | None = Field(description="Pass it as `before` for the next page.")
