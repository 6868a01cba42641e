"""`/keys`: who else may come in."""

from typing import Annotated

from fastapi import APIRouter, Path

from knowledge.keys import Scope
from knowledge.store import keys as store
from service.admin_schemas import KeyIn, KeyOut, KeysOut, NewKeyOut
from service.bodies import JsonRoute
from service.gate import needs
from service.parts import Needs
from service.problems import problems_of
from service.schemas import ID_PATTERN

router = APIRouter(prefix="/keys", tags=["keys"], route_class=JsonRoute)

KeyId = Annotated[str, Path(pattern=ID_PATTERN)]


@router.post("", response_model=NewKeyOut, status_code=201, summary="Make a key", responses=problems_of(409, 422))
@needs(Scope.ADMIN)
def post_key(body: KeyIn, parts: Needs) -> NewKeyOut:
    """The answer holds the key's secret: it is shown this once and kept nowhere.

    A key for some namespaces makes keys for some of these only. The first key that is made ends serving without keys.
    """
    key, secret = store.create(
        parts.store, body.name, body.scopes, namespaces=body.namespaces, expires_at=body.expires_at
    )
    parts.keyring.forget()
    return NewKeyOut(**KeyOut.of(key).model_dump(), secret=secret)


@router.get("", response_model=KeysOut, summary="List keys")
@needs(Scope.ADMIN)
def get_keys(parts: Needs) -> KeysOut:
    """Oldest first, with those that were revoked. Secrets are not kept and so not shown."""
    return KeysOut(keys=[KeyOut.of(key) for key in store.find(parts.store)])


@router.delete("/{key_id}", response_model=KeyOut, summary="Revoke a key", responses=problems_of(404, 422))
@needs(Scope.ADMIN)
def revoke_key(key_id: KeyId, parts: Needs) -> KeyOut:
    """For good, at once in this process and within two seconds in others. What it started goes on."""
    key = store.revoke(parts.store, key_id)
    parts.keyring.forget()
    return KeyOut.of(key)
