"""Settings and recipe in force, API keys, webhooks, and the audit trail."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query
from pydantic import ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from knowledge.errors import EngrainError
from knowledge.facts import NAMESPACE_PATTERN
from knowledge.keys import Scope
from knowledge.recipes import by_name, described
from knowledge.settings import PREFIX, Settings
from knowledge.store import audit, keys, now, webhooks
from knowledge.webhooks import EVENTS, DeliveryStatus
from service.admin_schemas import KeyIn, WebhookIn
from service.dashboard.visit import Visit, Visits
from service.gate import needs
from service.problems import Problem, from_error, from_validation
from service.routes import keys as key_routes
from service.routes import webhooks as webhook_routes
from service.schemas import ID_PATTERN

router = APIRouter(prefix="/settings")

PAGE = 50

KeyId = Annotated[str, Path(pattern=ID_PATTERN)]
Words = Annotated[str, Form(max_length=10_000)]


@router.get("")
def get_settings(visit: Visits) -> HTMLResponse:
    """Who is signed in, and what is in force. The settings concern all namespaces, the recipe every job."""
    settings = visit.parts.settings
    recipe = by_name(settings.recipe)
    meanings = described()
    in_force = [
        (f"{PREFIX}{name.upper()}", settings.shown(name), getattr(settings, name) != field.default, field.description)
        for name, field in Settings.model_fields.items()
    ]
    return visit.page(
        "settings.html",
        recipe=recipe,
        fields=[(name, getattr(recipe, name), meaning) for name, meaning in meanings.items()],
        settings=in_force if visit.may(Scope.ADMIN) and visit.is_everywhere else [],
    )


@router.get("/keys")
@needs(Scope.ADMIN)
def get_keys(visit: Visits) -> HTMLResponse:
    """The keys, newest first."""
    return _keys_page(visit)


@router.post("/keys")
@needs(Scope.ADMIN)
def post_key(
    visit: Visits,
    name: Words = "",
    scope: Annotated[list[Scope] | None, Form()] = None,
    namespaces: Words = "",
    days: Annotated[str, Form(pattern=r"^\s*([1-9][0-9]{0,4})?\s*$")] = "",
) -> HTMLResponse:
    """Makes a key, and shows its secret this once."""
    typed = {"name": name, "scope": scope or [], "namespaces": namespaces, "days": days.strip()}
    try:
        wanted = KeyIn(
            name=name.strip(),
            scopes=scope or [],
            namespaces=_words(namespaces) or None,
            expires_at=now() + timedelta(days=int(days)) if days.strip() else None,
        )
        made = key_routes.post_key(wanted, visit.parts)
    except (EngrainError, ValidationError) as error:
        problem = _problem(error)
        return _keys_page(visit, problem.status, problem=problem, typed=typed)
    return _keys_page(visit, 201, made=made)


@router.post("/keys/{key_id}/revoke")
@needs(Scope.ADMIN)
def revoke_key(key_id: KeyId, visit: Visits) -> RedirectResponse:
    """Ends a key for good."""
    key = key_routes.revoke_key(key_id, visit.parts)
    return visit.go("/settings/keys", f"The key “{key.name}” opens nothing any more.")


@router.get("/webhooks")
@needs(Scope.ADMIN, everywhere=True)
def get_webhooks(visit: Visits) -> HTMLResponse:
    """Who is told of what."""
    return _webhooks_page(visit)


@router.post("/webhooks")
@needs(Scope.ADMIN, everywhere=True)
def post_webhook(
    visit: Visits, url: Words = "", event: Annotated[list[str] | None, Form()] = None, namespaces: Words = ""
) -> Response:
    """Makes a webhook, and shows its secret this once."""
    typed = {"url": url, "event": event or [], "namespaces": namespaces}
    try:
        wanted = WebhookIn(url=url.strip(), events=event or [], namespaces=_words(namespaces))
        made = webhook_routes.post_webhook(wanted, Response(), visit.parts)
    except (EngrainError, ValidationError) as error:
        problem = _problem(error)
        return _webhooks_page(visit, problem.status, problem=problem, typed=typed)
    return _webhooks_page(visit, 201, made=made)


@router.get("/webhooks/{webhook_id}")
@needs(Scope.ADMIN, everywhere=True)
def get_webhook(
    webhook_id: KeyId,
    visit: Visits,
    status: Annotated[str, Query(max_length=20)] = "",
    before: Annotated[str | None, Query(pattern=ID_PATTERN)] = None,
) -> HTMLResponse:
    """One webhook and its deliveries, newest first."""
    wanted = DeliveryStatus(status) if status in list(DeliveryStatus) else None
    store = visit.parts.store
    found = webhooks.deliveries(store, webhook_id, status=wanted, before=before, limit=PAGE + 1)
    page = found[:PAGE]
    return visit.page(
        "settings/webhook.html",
        webhook=webhooks.get(store, webhook_id),
        deliveries=page,
        status=wanted or "",
        statuses=list(DeliveryStatus),
        before=before,
        next=page[-1].id if len(found) > PAGE else None,
    )


@router.post("/webhooks/{webhook_id}/delete")
@needs(Scope.ADMIN, everywhere=True)
def delete_webhook(webhook_id: KeyId, visit: Visits) -> RedirectResponse:
    """Deletes it with its deliveries."""
    webhook_routes.delete_webhook(webhook_id, visit.parts)
    return visit.go("/settings/webhooks", "The webhook is deleted.")


@router.post("/webhooks/{webhook_id}/deliveries/{delivery_id}/replay")
@needs(Scope.ADMIN, everywhere=True)
def replay_delivery(webhook_id: KeyId, delivery_id: KeyId, visit: Visits) -> RedirectResponse:
    """Delivers again."""
    webhook_routes.replay_delivery(webhook_id, delivery_id, visit.parts)
    return visit.go(f"/settings/webhooks/{webhook_id}", "It will be delivered again.")


@router.get("/audit")
@needs(Scope.ADMIN)
def get_audit(
    visit: Visits,
    namespace: Annotated[str, Query(pattern=f"^$|{NAMESPACE_PATTERN}")] = "",
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> HTMLResponse:
    """Who did what, newest first."""
    found = audit.find(visit.parts.store, namespace or None, before=before, limit=PAGE + 1)
    page = found[:PAGE]
    return visit.page(
        "settings/audit.html",
        entries=page,
        namespace=namespace,
        names=visit.namespace_names(),
        before=before,
        next=page[-1].id if len(found) > PAGE else None,
    )


def _keys_page(visit: Visit, code: int = 200, **context: Any) -> HTMLResponse:
    context = {"problem": None, "typed": None, "made": None, **context}
    found = keys.find(visit.parts.store)[::-1]
    return visit.page("settings/keys.html", code, keys=found, scopes=list(Scope), now=now(), **context)


def _webhooks_page(visit: Visit, code: int = 200, **context: Any) -> HTMLResponse:
    context = {"problem": None, "typed": None, "made": None, **context}
    return visit.page(
        "settings/webhooks.html", code, webhooks=webhooks.find(visit.parts.store), events=EVENTS, **context
    )


def _words(text: str) -> list[str]:
    """Names with spaces or commas between them."""
    return text.replace(",", " ").split()


def _problem(error: EngrainError | ValidationError) -> Problem:
    if isinstance(error, ValidationError):
        return from_validation(error.errors()).problem
    return from_error(error).problem
