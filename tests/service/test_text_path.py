"""Whatever text, title, key and metadata come in by HTTP: the very same come out, or a clear 4xx. Never a 5xx."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.facts import MAX_PASSAGE_CHARACTERS
from tests.service.conftest import Served

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

anything = st.text(st.characters(categories=None), max_size=200)  # surrogates too
odd = st.sampled_from(
    ["\x00", "\ud800", "\u202e", "<|im_end|>", "\u2028", "\x85", "\ufeff", " \n\n ", "' OR 1=1 --", "e\u0301"]
)
texts = st.lists(anything | odd, max_size=8).map("".join)
metadata = st.dictionaries(
    anything,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
        max_leaves=8,
    ),
    max_size=4,
)


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with served.http() as client:
        yield client


def has_surrogate(value: object) -> bool:
    return re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)) is not None


def post(http: httpx.Client, document: dict[str, Any]) -> tuple[httpx.Response, list[dict[str, Any]]]:
    """The answer, and the facts that are stored then, in a namespace of its own."""
    namespace = f"n{uuid4().hex}"
    body = json.dumps({**document, "namespace": namespace}).encode()
    response = http.post("/facts", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (202, 422), response.text
    if response.status_code == 422:
        assert response.json()["code"] in ("invalid-fact", "invalid-request")
        assert http.get("/facts", params={"namespace": namespace}).status_code == 404
        return response, []
    stored = [http.get(f"/facts/{fact['id']}").json() for fact in response.json()["facts"]]
    return response, stored


@EXAMPLES
@given(text=texts)
def test_a_text_comes_back_verbatim_or_is_refused(http: httpx.Client, text: str) -> None:
    response, stored = post(http, {"text": text})
    if "\x00" in text or has_surrogate(text):
        assert response.status_code == 422
    if response.status_code == 422:
        return
    place = 0
    for fact in stored:
        found = text.find(fact["text"], place)
        assert found >= 0, "a passage is a verbatim piece, in its place"
        place = found + len(fact["text"])
    if len(text) <= MAX_PASSAGE_CHARACTERS and not re.search(r"\n\s*\n", text):
        assert [fact["text"] for fact in stored] == [text.strip()]


@EXAMPLES
@given(title=anything, source=anything, key=anything)
def test_title_source_and_key_come_back_the_same_or_are_refused(
    http: httpx.Client, title: str, source: str, key: str
) -> None:
    given_fields = {"title": title, "source": source, "key": key}
    response, stored = post(http, {"text": "Ada Quill is a smith.", **given_fields})
    bad = any(not value or "\x00" in value or has_surrogate(value) for value in given_fields.values())
    assert (response.status_code == 422) is bad
    for fact in stored:
        assert {name: fact[name] for name in given_fields} == given_fields


@EXAMPLES
@given(given_metadata=metadata)
def test_metadata_comes_back_the_same_or_is_refused(http: httpx.Client, given_metadata: dict[str, Any]) -> None:
    response, stored = post(http, {"text": "Ada Quill is a smith.", "metadata": given_metadata})
    assert (response.status_code == 422) is has_surrogate(given_metadata)
    for fact in stored:
        assert json.dumps(fact["metadata"]) == json.dumps(given_metadata)


@EXAMPLES
@given(text=st.text(min_size=1, max_size=300), form=st.sampled_from(["text/plain", "application/jsonl", "file"]))
def test_every_form_of_body_keeps_the_same_text(http: httpx.Client, text: str, form: str) -> None:
    parameters = {"namespace": f"n{uuid4().hex}"}
    line = json.dumps({"text": text}, ensure_ascii=False)
    bodies: dict[str, Callable[[], httpx.Response]] = {
        "text/plain": lambda: http.post(
            "/facts", params=parameters, content=text.encode(), headers={"Content-Type": form}
        ),
        "application/jsonl": lambda: http.post(
            "/facts", params=parameters, content=line.encode(), headers={"Content-Type": form}
        ),
        "file": lambda: http.post("/facts", params=parameters, files={"file": ("a.txt", text.encode(), "text/plain")}),
    }
    response = bodies[form]()
    assert response.status_code in (202, 422), response.text
    if response.status_code == 202:
        stored = [http.get(f"/facts/{fact['id']}").json()["text"] for fact in response.json()["facts"]]
        sent = text if form == "application/jsonl" else text.removeprefix("\ufeff")  # of a file, its byte order mark
        assert "".join("".join(stored).split()) == "".join(sent.split())


@EXAMPLES
@given(question=texts, path=st.sampled_from(["/ask", "/v1/chat/completions"]))
def test_every_question_gets_an_answer_or_a_clear_refusal(http: httpx.Client, question: str, path: str) -> None:
    body = {"question": question}
    if path != "/ask":
        body = {"model": "default", "messages": [{"role": "user", "content": question}]}  # type: ignore[dict-item]
    response = http.post(path, content=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 400, 422), response.text
    if has_surrogate(question):
        assert response.status_code == 400


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"text": "A is b.", "metadata": {"x": NaN}}', "invalid-json"),
        ('{"text": "A is b.", "metadata": {"x": -Infinity}}', "invalid-json"),
        ('{"text": "A is b.", "metadata": {"x": 1e999}}', "invalid-fact"),
        ('{"text": "A is b.", "metadata": {"x": ' + "9" * 5000 + "}}", "invalid-json"),
        ('{"text": "A is b.", "metadata": {"x": ' + "[" * 4000 + "]" * 4000 + "}}", "invalid-json"),
        ('{"text": "A is b.", "metadata": {"x": ' + "[" * 500 + "]" * 500 + "}}", "invalid-request"),
        ('{"text": "A is b.", "expires_at": "0001-01-01T00:00:00+14:00"}', "invalid-request"),
        ('{"text": "A is b.", "expires_at": "9999-12-31T23:59:59-14:00"}', "invalid-request"),
        ('{"text": "A is b.", "expires_at": 0}', "invalid-request"),
        ('{"text": "A is b.", "expires_at": "1893456000"}', "invalid-request"),
        ('{"text": "A is b.", "\\ud800": 1}', "invalid-request"),
        ('{"text": "A is b.", "probes": [{"question": "Q\\u0000?", "answer": "A"}]}', "invalid-request"),
    ],
)
def test_json_that_no_store_can_keep_is_refused(http: httpx.Client, body: str, code: str) -> None:
    response = http.post("/facts", content=body.encode(), headers={"Content-Type": "application/json"})
    assert (response.status_code // 100, response.json()["code"]) == (4, code), response.text
    assert http.get("/facts").json()["facts"][2:] == []


@pytest.mark.parametrize(
    "body", [b'{"question": "\\ud800"}', b'{"question": "\xff"}', b'{"question": "Q?", "wait_seconds": NaN}']
)
def test_a_question_in_broken_json_is_refused(http: httpx.Client, body: bytes) -> None:
    for path in ("/ask", "/v1/chat/completions"):
        response = http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 400, response.text
