"""What a question has to know of a namespace, in one statement."""

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, select

from knowledge.errors import NotFound
from knowledge.facts import FactStatus
from knowledge.store.database import Store
from knowledge.store.facts import DEFAULT_NAMESPACE
from knowledge.store.tables import FactRow, NamespaceRow

MOST_PENDING = 1000

_WAITING = [FactStatus.PENDING.value, FactStatus.TRAINING.value]
_STANDING = (
    select(NamespaceRow.live_version, FactRow.id)
    .outerjoin(
        FactRow,
        and_(
            FactRow.namespace == NamespaceRow.name,
            FactRow.status.in_(_WAITING),
            FactRow.forget_requested_at.is_(None),
        ),
    )
    .where(NamespaceRow.name == bindparam("namespace"))
    .order_by(FactRow.id)
    .limit(MOST_PENDING)
)


@dataclass(frozen=True)
class Standing:
    """The number of a namespace's live version, and the ids of its facts that are not live yet, oldest first.

    What both stand for never changes (a version's facts, a fact's text), so a copy of that may be kept: only this
    has to be read anew for each question.
    """

    live: int | None
    pending: tuple[str, ...]


def no_namespace(name: str) -> str:
    """What is said of a namespace that is not there, or not for the caller: word for word the same."""
    return f"There is no namespace {name}. POST /facts to it creates it."


def standing(store: Store, namespace: str) -> Standing:
    """As it is now, whichever process wrote it. Raises `NotFound` for a namespace that nobody has posted to."""
    with store.read() as session:
        rows = session.execute(_STANDING, {"namespace": namespace}).all()
    if not rows and namespace != DEFAULT_NAMESPACE:
        raise NotFound(no_namespace(namespace))
    live = rows[0].live_version if rows else None
    return Standing(live, tuple(row.id for row in rows if row.id is not None))
