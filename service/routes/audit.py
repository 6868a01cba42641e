"""`/audit`: who did what."""

from typing import Annotated

from fastapi import APIRouter, Query

from knowledge.keys import Scope
from knowledge.store import audit as store
from knowledge.store.versions import check_namespace
from service.admin_schemas import AuditOut, EntryOut
from service.gate import needs
from service.parts import Needs
from service.problems import Problem
from service.schemas import NamespaceName

router = APIRouter(tags=["audit"])


@router.get("/audit", response_model=AuditOut, summary="Who did what", responses={404: {"model": Problem}})
@needs(Scope.ADMIN)
def get_audit(
    parts: Needs,
    namespace: NamespaceName | None = None,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> AuditOut:
    """Acts, newest first. A key for some namespaces sees what was done in these; keys belong to no namespace."""
    if namespace is not None:
        check_namespace(parts.store, namespace)
    found = store.find(parts.store, namespace, before=before, limit=limit + 1)
    page = [EntryOut.of(entry) for entry in found[:limit]]
    return AuditOut(entries=page, next=page[-1].id if len(found) > limit else None)
