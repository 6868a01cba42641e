from datetime import timedelta

from sqlalchemy import select, update

from knowledge.keys import Scope
from knowledge.store import Store, keys, now, sessions
from knowledge.store.tables import SessionRow


def test_a_session_is_found_by_its_secret_alone_and_the_secret_is_not_kept(store: Store) -> None:
    key, _ = keys.create(store, "desk", [Scope.READ])
    secret = sessions.open_session(store, key)
    assert sessions.key_of(store, secret) == key
    assert sessions.key_of(store, secret + "x") is None
    with store.read() as session:
        [row] = session.scalars(select(SessionRow)).all()
    assert secret not in str(vars(row))


def test_a_session_ends_when_it_is_closed_and_with_its_key(store: Store) -> None:
    key, _ = keys.create(store, "desk", [Scope.READ])
    one, other = sessions.open_session(store, key), sessions.open_session(store, key)
    sessions.close_session(store, one)
    assert sessions.key_of(store, one) is None and sessions.key_of(store, other) == key
    keys.revoke(store, key.id)
    assert sessions.key_of(store, other) is None


def test_a_session_expires_and_is_then_forgotten(store: Store) -> None:
    key, _ = keys.create(store, "desk", [Scope.READ])
    old, new = sessions.open_session(store, key), sessions.open_session(store, key)
    with store.write() as session:
        first = select(SessionRow.finder).order_by(SessionRow.created_at).limit(1).scalar_subquery()
        session.execute(
            update(SessionRow).where(SessionRow.finder == first).values(expires_at=now() - timedelta(seconds=1))
        )
    assert [sessions.key_of(store, each) is None for each in (old, new)] == [True, False]
    sessions.forget_old(store)
    with store.read() as session:
        assert len(session.scalars(select(SessionRow)).all()) == 1
