"""`/webhooks`: who is told when a fact or a job changes, and what became of it."""

import socket
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Query, Response

from knowledge.keys import Scope
from knowledge.store import webhooks as store
from knowledge.webhooks import DeliveryStatus
from service.admin_schemas import DeliveriesOut, DeliveryOut, NewWebhookOut, WebhookIn, WebhookOut, WebhooksOut
from service.bodies import JsonRoute
from service.deliveries import is_public
from service.gate import needs
from service.parts import Needs, Parts
from service.problems import ProblemError, problems_of
from service.schemas import ID_PATTERN

router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=JsonRoute)

WebhookId = Annotated[str, Path(pattern=ID_PATTERN)]
DeliveryId = Annotated[str, Path(pattern=ID_PATTERN)]


def _links(*operations: str) -> dict[str, Any]:
    return {name: {"operationId": name, "parameters": {"webhook_id": "$response.body#/id"}} for name in operations}


_REPLAY = {
    "replay_delivery": {
        "operationId": "replay_delivery",
        "parameters": {
            "webhook_id": "$request.path.webhook_id",
            "delivery_id": "$response.body#/deliveries/0/id",
        },
    }
}


@router.post(
    "",
    response_model=NewWebhookOut,
    status_code=201,
    operation_id="post_webhook",
    summary="Be told of what happens to facts and jobs",
    responses={
        201: {"links": _links("get_webhook", "delete_webhook", "get_deliveries")},
        **problems_of(400, 403, 409, 413, 422),
    },
)
@needs(Scope.ADMIN, everywhere=True)
def post_webhook(body: WebhookIn, response: Response, parts: Needs) -> NewWebhookOut:
    """`secret` is told here and never again: it signs each delivery as the Standard Webhooks specification says.

    Deliveries come at least once and in no certain order; `webhook-id` tells a repeat. Private addresses are refused
    unless `ENGRAIN_WEBHOOK_PRIVATE_ADDRESSES` allows them.
    """
    _check_address(parts, body.url)
    webhook, secret = store.add(parts.store, body.url, body.events, body.namespaces)
    response.headers["Location"] = f"/webhooks/{webhook.id}"
    return NewWebhookOut(**WebhookOut.of(webhook).model_dump(), secret=secret)


@router.get("", response_model=WebhooksOut, summary="List webhooks")
@needs(Scope.ADMIN, everywhere=True)
def get_webhooks(parts: Needs) -> WebhooksOut:
    """All of them, oldest first."""
    return WebhooksOut(webhooks=[WebhookOut.of(each) for each in store.find(parts.store)])


@router.get(
    "/{webhook_id}",
    response_model=WebhookOut,
    operation_id="get_webhook",
    summary="One webhook",
    responses=problems_of(404, 422),
)
@needs(Scope.ADMIN, everywhere=True)
def get_webhook(webhook_id: WebhookId, parts: Needs) -> WebhookOut:
    """Where it leads and what it is told of."""
    return WebhookOut.of(store.get(parts.store, webhook_id))


@router.delete(
    "/{webhook_id}",
    status_code=204,
    operation_id="delete_webhook",
    summary="Delete a webhook",
    responses=problems_of(404, 422),
)
@needs(Scope.ADMIN, everywhere=True)
def delete_webhook(webhook_id: WebhookId, parts: Needs) -> None:
    """With its deliveries; one that is on its way may still arrive."""
    store.remove(parts.store, webhook_id)


@router.get(
    "/{webhook_id}/deliveries",
    response_model=DeliveriesOut,
    operation_id="get_deliveries",
    summary="List deliveries",
    responses={200: {"links": _REPLAY}, **problems_of(404, 422)},
)
@needs(Scope.ADMIN, everywhere=True)
def get_deliveries(
    webhook_id: WebhookId,
    parts: Needs,
    status: DeliveryStatus | None = None,
    before: Annotated[str | None, Query(pattern=ID_PATTERN, description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> DeliveriesOut:
    """Newest first. `given_up` ones wait for a replay; what has ended is kept for a week."""
    found = store.deliveries(parts.store, webhook_id, status=status, before=before, limit=limit + 1)
    page = [DeliveryOut.of(each) for each in found[:limit]]
    return DeliveriesOut(deliveries=page, next=page[-1].id if len(found) > limit else None)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay",
    response_model=DeliveryOut,
    status_code=202,
    operation_id="replay_delivery",
    summary="Deliver again",
    responses=problems_of(404, 422),
)
@needs(Scope.ADMIN, everywhere=True)
def replay_delivery(webhook_id: WebhookId, delivery_id: DeliveryId, parts: Needs) -> DeliveryOut:
    """Whatever became of it, it is sent again, with the same `webhook-id` and as many attempts as a new one."""
    return DeliveryOut.of(store.replay(parts.store, webhook_id, delivery_id))


def _check_address(parts: Parts, url: str) -> None:
    """Refuses early what is an address and not a name; a name is looked up, and checked, at each attempt."""
    host = urlsplit(url).hostname or ""
    try:
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return
    if not parts.settings.webhook_private_addresses and not all(is_public(str(each[4][0])) for each in found):
        raise ProblemError(
            403,
            "private-address",
            "This address is private",
            f"{host} is not a public address. ENGRAIN_WEBHOOK_PRIVATE_ADDRESSES allows such.",
        )
