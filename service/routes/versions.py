"""`/namespaces`: the line of versions of each."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.concurrency import run_in_threadpool

from inference.adapters import verify
from knowledge import faults
from knowledge.adapters import Version
from knowledge.facts import NAMESPACE_PATTERN
from knowledge.keys import Scope
from knowledge.store import scores
from knowledge.store import versions as store
from service.capacity import CapacityOut, capacity_of
from service.gate import needs
from service.parts import Needs, Parts
from service.problems import problems_of
from service.version_schemas import DiffOut, NamespaceOut, NamespacesOut, VersionDetailOut, VersionOut, VersionsOut

router = APIRouter(prefix="/namespaces", tags=["versions"])

NamespacePath = Annotated[str, Path(pattern=NAMESPACE_PATTERN)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("", response_model=NamespacesOut, summary="List namespaces")
def get_namespaces(parts: Needs) -> NamespacesOut:
    """Every namespace, its live version, its facts by status, and how full it is."""
    found = store.namespaces(parts.store)
    return NamespacesOut(namespaces=[NamespaceOut.of(each, capacity_of(parts, each.name)) for each in found])


@router.get(
    "/{namespace}/capacity",
    response_model=CapacityOut,
    operation_id="get_capacity",
    summary="How full a namespace is",
    responses=problems_of(404),
)
def get_capacity(namespace: NamespacePath, parts: Needs) -> CapacityOut:
    """What the live version holds, how well the facts of the last versions went in, and what to do about it."""
    return capacity_of(parts, namespace)


@router.get(
    "/{namespace}/versions",
    response_model=VersionsOut,
    operation_id="get_versions",
    summary="List versions",
    responses=problems_of(404),
)
def get_versions(namespace: NamespacePath, parts: Needs) -> VersionsOut:
    """Versions, newest first."""
    found = store.find(parts.store, namespace)
    live = store.live(parts.store, namespace)
    return VersionsOut(
        namespace=namespace,
        live_version=live.number if live else None,
        versions=[VersionOut.of(version) for version in found],
    )


@router.get(
    "/{namespace}/versions/{number}",
    response_model=VersionDetailOut,
    operation_id="get_version",
    summary="One version",
    responses=problems_of(404),
)
def get_version(namespace: NamespacePath, number: Number, parts: Needs) -> VersionDetailOut:
    """Its facts and how each did on its probes, the job that made it, and the facts that it harmed."""
    return VersionDetailOut.detailed(scores.detail(parts.store, namespace, number))


@router.get(
    "/{namespace}/versions/{number}/diff/{other}",
    response_model=DiffOut,
    operation_id="get_diff",
    summary="What differs between two versions",
    responses=problems_of(404),
)
def get_diff(namespace: NamespacePath, number: Number, other: Number, parts: Needs) -> DiffOut:
    """What `other` holds more or less than `number`, and which facts did better or worse in it."""
    return DiffOut.of(scores.diff(parts.store, namespace, number, other))


@router.post(
    "/{namespace}/versions/{number}/activate",
    response_model=VersionOut,
    summary="Roll back or forward",
    responses=problems_of(404, 409, 410),
)
@needs(Scope.ADMIN)
async def activate_version(namespace: NamespacePath, number: Number, parts: Needs) -> VersionOut:
    """Makes a version that was live before live again, and its facts. It is loaded first, then the store flips.

    Facts that it does not hold are `rejected` until a version that holds them is live, or they are posted again.
    """
    version = await run_in_threadpool(store.get, parts.store, namespace, number)
    store.check_activatable(version)
    await run_in_threadpool(_verify, parts, version)
    await parts.replicas.ensure(version)
    activated = await run_in_threadpool(store.activate, parts.store, namespace, number)
    faults.point("activate.after_flip")
    return VersionOut.of(activated)


def _verify(parts: Parts, version: Version) -> None:
    """Checks the files of all adapters that the version speaks with. Raises `CorruptAdapter`."""
    for each in store.speaking_as(parts.store, version):
        verify(each.path)
