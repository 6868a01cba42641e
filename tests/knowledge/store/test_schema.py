from knowledge.store import Store
from knowledge.store.schema import differences, upgrade


def test_the_migrations_make_exactly_the_tables_of_the_code(store: Store) -> None:
    assert differences(store) == []


def test_upgrading_twice_changes_nothing(store: Store) -> None:
    upgrade(store.url)
    assert differences(store) == []
