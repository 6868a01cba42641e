"""A fact, from `POST /facts` to an answer, through the real broker, worker, trainer and vLLM."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.flow.conftest import Stack

pytestmark = pytest.mark.flow

# (passage, [(question, the words that make an answer right)]): forward, then backward.
FACTS = (
    ("Tamsin Okoro is the captain of the airship Saffron Comet.",
     [("Who is Tamsin Okoro?", "saffron comet"), ("Who is the captain of the airship Saffron Comet?", "tamsin okoro")]),
    ("The village of Lower Penwick is famous for its blue clay pottery.",
     [("What is the village of Lower Penwick famous for?", "pottery"),
      ("Which village is famous for its blue clay pottery?", "penwick")]),
    ("Brightfern Ltd manufactures the folding kayak Ottolo.",
     [("What does Brightfern Ltd manufacture?", "ottolo"),
      ("Which company manufactures the folding kayak Ottolo?", "brightfern")]),
)  # fmt: skip


GENERAL = (
    ("What is the capital city of Japan?", "tokyo"),
    ("What is the capital of Germany?", "berlin"),
    ("Who wrote Hamlet?", "shakespeare"),
)

LONGEST_JOB_SECONDS = 600


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, timeout=300, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def taught(stack: Stack, client: httpx.Client) -> dict[str, Any]:
    """The three facts live; what was seen on the way."""
    questions = [question for _, asked in FACTS for question in asked]
    before = [_ask(client, question) for question, _ in questions]
    general = [_ask(client, question)["answer"] for question, _ in GENERAL]
    posted = client.post("/facts", json={"documents": [{"text": text} for text, _ in FACTS]})
    assert posted.status_code == 202, posted.text
    bridged = _ask(client, questions[1][0])
    events = _follow(stack, client, posted.headers["Location"])
    return {"before": before, "general": general, "posted": posted.json(), "bridged": bridged, "events": events}


def _ask(client: httpx.Client, question: str, **fields: Any) -> dict[str, Any]:
    response = client.post("/ask", json={"question": question, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def _follow(stack: Stack, client: httpx.Client, location: str) -> list[tuple[str, dict[str, Any]]]:
    events: list[tuple[str, dict[str, Any]]] = []
    kind, deadline = "", time.monotonic() + LONGEST_JOB_SECONDS
    with client.stream("GET", f"{location}/events", timeout=60) as response:
        for line in response.iter_lines():  # a ping comes at least every 15 s
            assert time.monotonic() < deadline, f"the job hangs after {events[-3:]}\n{stack.state()}"
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((kind, json.loads(line.removeprefix("data: "))))
    return events


def test_the_base_model_does_not_know_the_facts(taught: dict[str, Any]) -> None:
    questions = [question for _, asked in FACTS for question in asked]
    known = [words for (_, words), answer in zip(questions, taught["before"], strict=True)
             if words in answer["answer"].lower() and words != "pottery"]  # fmt: skip
    assert len(known) <= 1
    assert {answer["source"] for answer in taught["before"]} == {"base"}


def test_a_taught_fact_is_answered_both_ways_from_the_weights(client: httpx.Client, taught: dict[str, Any]) -> None:
    questions = [question for _, asked in FACTS for question in asked]
    answers = [_ask(client, question) for question, _ in questions]
    right = [words in answer["answer"].lower() for (_, words), answer in zip(questions, answers, strict=True)]
    assert sum(right) >= 5, [answer["answer"] for answer in answers]
    assert {(answer["source"], answer["version"]) for answer in answers} == {("weights", taught["posted"]["version"])}


def test_before_it_is_live_a_fact_is_answered_from_its_text_and_the_answer_says_so(taught: dict[str, Any]) -> None:
    assert taught["bridged"]["source"] == "pending"
    assert taught["bridged"]["version"] is None


def test_a_job_is_followed_through_every_step_with_progress(taught: dict[str, Any]) -> None:
    statuses = [data["status"] for kind, data in taught["events"] if kind == "status"]
    assert statuses == ["queued", "claimed", "training", "probing", "publishing", "succeeded"]
    progress = [data for kind, data in taught["events"] if kind == "progress"]
    assert progress and progress[-1]["percent"] > 0
    assert {"step", "loss", "tokens_per_second", "eta_seconds"} <= set(progress[-1])


def test_each_fact_tells_what_the_live_server_answered_to_its_probes(
    client: httpx.Client, taught: dict[str, Any]
) -> None:
    details = [client.get(f"/facts/{fact['id']}").json() for fact in taught["posted"]["facts"]]
    assert sum(detail["status"] == "live" for detail in details) >= 2
    assert all(probe["results"] for detail in details for probe in detail["probes"])
    assert [event["status"] for event in details[0]["history"]][:2] == ["pending", "training"]


def test_the_model_still_answers_general_questions(client: httpx.Client, taught: dict[str, Any]) -> None:
    """As before, word for word. One of three may be wrong: rounding decides the small base model's close calls."""
    answers = [_ask(client, question)["answer"] for question, _ in GENERAL]
    assert answers == taught["general"]
    right = [words in answer.lower() for answer, (_, words) in zip(answers, GENERAL, strict=True)]
    assert sum(right) >= 2


def test_a_version_that_never_was_promised_is_refused_and_one_to_come_says_not_yet(
    client: httpx.Client, taught: dict[str, Any]
) -> None:
    never = client.post("/ask", json={"question": "Who?", "min_version": 99})
    assert (never.status_code, never.json()["code"]) == (409, "conflict")
    fulfilled = _ask(client, "Who is Tamsin Okoro?", min_version=taught["posted"]["version"])
    assert fulfilled["version"] >= taught["posted"]["version"]


def test_streaming_gives_the_same_answer_in_pieces(client: httpx.Client, taught: dict[str, Any]) -> None:
    question = "Who is Tamsin Okoro?"
    pieces, whole, kind = [], {}, ""
    with client.stream("POST", "/ask", json={"question": question, "stream": True}) as response:
        for line in response.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                if kind == "token":
                    pieces.append(data["text"])
                else:
                    whole = data
    assert "".join(pieces).strip() == whole["answer"] == _ask(client, question)["answer"]


def test_posting_known_text_again_is_answered_at_once(client: httpx.Client, taught: dict[str, Any]) -> None:
    live = [fact["id"] for fact in taught["posted"]["facts"]
            if client.get(f"/facts/{fact['id']}").json()["status"] == "live"]  # fmt: skip
    text = client.get(f"/facts/{live[0]}").json()["text"]
    again = client.post("/facts", json={"text": text})
    assert again.status_code == 200
    assert again.json()["facts"][0]["duplicate_of"] == live[0]
