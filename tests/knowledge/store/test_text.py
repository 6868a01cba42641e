"""Whatever a store takes it gives back the very same, on SQLite and on PostgreSQL."""

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.errors import InvalidFact
from knowledge.facts import Document, Fact, is_blank
from knowledge.store import Store, facts

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

anything = st.text(st.characters(categories=None), max_size=100)  # surrogates too
metadata = st.dictionaries(
    anything,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | anything,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
        max_leaves=8,
    ),
    max_size=4,
)


def keep(store: Store, document: Document) -> list[Fact]:
    posted = facts.post(store, f"n{uuid4().hex}", [document])
    return [facts.get(store, fact.id) for fact in posted.facts]


def is_storable(*strings: str) -> bool:
    return not any(re.search("[\x00\ud800-\udfff]", string) for string in strings)


@EXAMPLES
@given(text=anything, title=anything, source=anything, key=anything)
def test_text_title_source_and_key_come_back_the_same(
    store: Store, text: str, title: str, source: str, key: str
) -> None:
    document = Document(text, title=title, source=source, key=key)
    if is_blank(text) or not is_storable(text, title, source, key):
        with pytest.raises(InvalidFact):
            keep(store, document)
        return
    place = 0
    for fact in keep(store, document):
        assert (fact.title, fact.source, fact.key) == (title, source, key)
        found = text.find(fact.text, place)
        assert is_blank(text[place:found]), "nothing but what cannot be seen is left out"
        place = found + len(fact.text)
    assert is_blank(text[place:])


@EXAMPLES
@given(given_metadata=metadata)
def test_metadata_comes_back_the_same(store: Store, given_metadata: dict[str, Any]) -> None:
    document = Document("Ada Quill is a smith.", metadata=given_metadata)
    if re.search("[\ud800-\udfff]", json.dumps(given_metadata, ensure_ascii=False)):
        with pytest.raises(InvalidFact):
            keep(store, document)
        return
    [fact] = keep(store, document)
    assert repr(fact.metadata) == repr(given_metadata)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_is_refused(store: Store, number: float) -> None:
    with pytest.raises(InvalidFact, match="not JSON"):
        keep(store, Document("Ada Quill is a smith.", metadata={"x": [number]}))
