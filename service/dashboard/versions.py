"""Versions: the line of a namespace, what each holds and how it scored, two compared, and which one is live."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse

from knowledge.adapters import VersionStatus
from knowledge.facts import NAMESPACE_PATTERN
from knowledge.keys import Scope
from knowledge.settings import without_password
from knowledge.store import facts, jobs, scores
from knowledge.store import line as store
from knowledge.store.facts import DEFAULT_NAMESPACE
from knowledge.store.line import Step
from service.capacity import capacity_of
from service.dashboard.visit import Visit, Visits
from service.gate import needs
from service.routes import versions as routes
from service.schemas import MOST_VERSION

router = APIRouter(prefix="/versions")

PAGE = 20
MOST_SHOWN = 100
ACTIVATABLE = (VersionStatus.RETIRED,)

NamespacePath = Annotated[str, Path(pattern=NAMESPACE_PATTERN)]
Number = Annotated[int, Path(ge=1, le=MOST_VERSION)]
NumberQuery = Annotated[int, Query(ge=1, le=MOST_VERSION)]


@router.get("")
def get_versions(
    visit: Visits,
    namespace: Annotated[str, Query(pattern=f"^$|{NAMESPACE_PATTERN}")] = "",
    before: Annotated[int | None, Query(ge=1, le=MOST_VERSION)] = None,
) -> HTMLResponse:
    """The versions of a namespace, newest first."""
    names = visit.namespace_names()
    namespace = namespace or (DEFAULT_NAMESPACE if DEFAULT_NAMESPACE in names else next(iter(names), DEFAULT_NAMESPACE))
    line = store.line(visit.parts.store, namespace, before=before, limit=PAGE + 1)
    return visit.page(
        "versions.html",
        names=names,
        namespace=namespace,
        line=line[:PAGE],
        live=_live(visit, namespace),
        before=before,
        next=line[PAGE - 1].number if len(line) > PAGE else None,
        activatable=ACTIVATABLE,
    )


@router.get("/{namespace}/loaded")
async def get_loaded(namespace: NamespacePath, visit: Visits) -> HTMLResponse:
    """Which of the namespace's versions each model server holds now."""
    line = await run_in_threadpool(store.line, visit.parts.store, namespace, limit=1000)
    adapters = {version.adapter: version for version in line}
    loaded = await visit.parts.replicas.loaded()
    replicas = [
        (
            without_password(url) if visit.is_everywhere else f"Model server {place}",
            None if names is None else sorted((adapters[each] for each in names if each in adapters), key=_number),
        )
        for place, (url, names) in enumerate(loaded.items(), start=1)
    ]
    return visit.part("versions/loaded.html", replicas=replicas, namespace=namespace)


@router.get("/{namespace}/diff")
def get_diff(namespace: NamespacePath, visit: Visits, old: NumberQuery, new: NumberQuery) -> HTMLResponse:
    """What one version holds and another does not."""
    pair = [store.step(visit.parts.store, namespace, number) for number in (old, new)]
    return visit.page(
        "versions_diff.html", namespace=namespace, old=pair[0], new=pair[1], **_changes(visit, namespace, old, new)
    )


@router.get("/{namespace}/rescored")
def get_rescored(namespace: NamespacePath, visit: Visits, old: NumberQuery, new: NumberQuery) -> HTMLResponse:
    """Which facts did better or worse in the one version than in the other; it compares every probe of both."""
    found = scores.diff(visit.parts.store, namespace, old, new)
    ids = [*found.harmed, *(each for each in found.rescored if each not in found.harmed)][:MOST_SHOWN]
    texts = {fact.id: fact for fact in facts.find(visit.parts.store, ids=ids)}
    rows = [(texts[each], *found.rescored[each], each in found.harmed) for each in ids if each in texts]
    return visit.part(
        "versions/rescored.html", rows=rows, number=len(found.rescored), harmed=len(found.harmed), old=old, new=new
    )


@router.get("/{namespace}/capacity")
def get_capacity(namespace: NamespacePath, visit: Visits) -> HTMLResponse:
    """How full the namespace is."""
    return visit.part("versions/capacity.html", capacity=capacity_of(visit.parts, namespace))


@router.get("/{namespace}/{number}")
def get_version(namespace: NamespacePath, number: Number, visit: Visits) -> HTMLResponse:
    """One version: what it holds, what it was trained with, what it changed."""
    version = store.step(visit.parts.store, namespace, number)
    homes = sorted(store.homes(visit.parts.store, namespace, number).items(), reverse=True)
    before = store.line(visit.parts.store, namespace, before=number, limit=1)
    changes = _changes(visit, namespace, before[0].number, number) if before else {"changes": None}
    recipe = jobs.events(visit.parts.store, version.job_id, kinds=["recipe"])
    return visit.page(
        "version.html",
        version=version,
        homes=homes,
        live=_live(visit, namespace),
        previous=before[0] if before else None,
        recipe=recipe[-1].data if recipe else {},
        activatable=ACTIVATABLE,
        **changes,
    )


@router.get("/{namespace}/{number}/activate")
@needs(Scope.ADMIN)
def confirm_activation(namespace: NamespacePath, number: Number, visit: Visits) -> HTMLResponse:
    """Says what would change, and asks."""
    version, live = store.step(visit.parts.store, namespace, number), _live(visit, namespace)
    changes = _changes(visit, namespace, live.number, number) if live else {"changes": None}
    return visit.page("versions_activate.html", version=version, live=live, **changes)


@router.post("/{namespace}/{number}/activate")
@needs(Scope.ADMIN)
async def activate_version(namespace: NamespacePath, number: Number, visit: Visits) -> RedirectResponse:
    """Makes the version live: rolls back, or forward."""
    await routes.activate_version(namespace, number, visit.parts)
    return visit.go(f"/versions?namespace={namespace}", f"Version {number} of {namespace} is live now.")


def _live(visit: Visit, namespace: str) -> Step | None:
    return store.live_step(visit.parts.store, namespace)


def _changes(visit: Visit, namespace: str, old: int, new: int) -> dict[str, Any]:
    diff = store.changes(visit.parts.store, namespace, old, new, most=MOST_SHOWN)
    return {
        "changes": diff,
        "added": facts.find(visit.parts.store, ids=diff.added_ids),
        "removed": facts.find(visit.parts.store, ids=diff.removed_ids),
    }


def _number(version: Step) -> int:
    return version.number
