"""Answers over a model server in memory: many at once, their lift, withheld ones, and what is read anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from knowledge.facts import Document
from knowledge.jobs import JobStatus
from knowledge.store import facts, jobs, versions
from tests.service.conftest import Served, candidate, claim, publish_adapter, teach

ABOUT, OTHER = "Who is Mara Venn?", "What is the capital of France?"


def ask(served: Served, **body: Any) -> dict[str, Any]:
    with served.http() as http:
        response = http.post("/ask", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_many_questions_are_answered_in_order_each_with_its_own_source(served: Served) -> None:
    facts.post(served.store, "default", [Document("Bo Lunde is the pilot of the Saffron Comet.")])
    answers = ask(served, questions=[OTHER, ABOUT, "Who is the pilot of the Saffron Comet?", OTHER])["answers"]
    assert [(answer["source"], answer["version"]) for answer in answers] == [
        ("base", None), ("weights", 1), ("pending", None), ("base", None),
    ]  # fmt: skip
    assert answers[1] == answers[1] | {key: ask(served, question=ABOUT)[key] for key in ("answer", "facts", "adapter")}


def test_a_question_of_many_that_fails_leaves_its_problem_in_its_place(serve: Callable[..., Served]) -> None:
    served = serve(max_question_characters=6000, max_body_bytes=20_000)
    answers = ask(served, questions=[ABOUT, "x" * 5500, "y" * 7000, OTHER])["answers"]
    assert [answer.get("code") for answer in answers] == [None, "conflict", "question-too-long", None]
    assert [answer.get("source") for answer in answers] == ["weights", None, None, "base"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"questions": ["Who?"] * 4}, 413, "too-many-questions"),
        ({"questions": []}, 422, "invalid-request"),
        ({"questions": ["Who?", "  "]}, 422, "invalid-request"),
        ({"questions": ["Who?"], "question": "Who?"}, 422, "invalid-request"),
        ({"questions": ["Who?"], "stream": True}, 422, "invalid-request"),
        ({"questions": ["Who?"], "version": 9}, 404, "not-found"),
    ],
)
def test_many_questions_that_do_not_fit_are_refused(
    serve: Callable[..., Served], body: dict[str, Any], status: int, code: str
) -> None:
    served = serve(max_questions=3)
    with served.http() as http:
        response = http.post("/ask", json=body)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_lift_is_the_adapters_mean_log_probability_above_the_base_and_costs_a_pass_only_when_asked(
    served: Served,
) -> None:
    assert ask(served, question=ABOUT)["lift"] is None
    assert served.fake.calls["/v1/completions"] == 0
    # The fake's adapters give each of their tokens -1, its base model -3.
    assert ask(served, question=ABOUT, lift=True)["lift"] == 2.0
    assert served.fake.calls["/v1/completions"] == 1


def test_an_answer_of_the_base_model_has_no_lift(served: Served) -> None:
    assert ask(served, question=OTHER, lift=True)["lift"] is None
    assert served.fake.calls["/v1/completions"] == 0


@pytest.mark.parametrize(("least", "withheld"), [(0.0, False), (1.9, False), (2.1, True)])
def test_an_answer_is_withheld_when_its_lift_is_below_the_setting(
    serve: Callable[..., Served], least: float, withheld: bool
) -> None:
    served = serve(least_lift=least)
    answer = ask(served, question=ABOUT)
    assert answer["abstained"] is withheld
    assert (answer["answer"] == "I was not taught the answer to this.") is withheld
    assert answer["facts"] == [] if withheld else answer["facts"]
    assert (answer["source"], answer["version"]) == ("weights", 1)
    assert ask(served, question=OTHER)["abstained"] is False


def test_no_piece_of_a_withheld_answer_is_streamed(serve: Callable[..., Served]) -> None:
    served = serve(least_lift=2.1)
    with served.http() as http:
        text = http.post("/ask", json={"question": ABOUT, "stream": True}).text
    data = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert [each["text"] for each in data[:-1]] == ["I was not taught the answer to this."]
    assert data[-1]["abstained"] is True
    assert "says" not in text


def test_what_another_process_wrote_is_seen_by_the_very_next_question(served: Served) -> None:
    """`served.store` is another connection than the service's: a worker's, or another API process's."""
    asked = "Who is the pilot of the Saffron Comet?"
    assert ask(served, question=asked)["source"] == "base"
    lease = claim(served.store, "Bo Lunde is the pilot of the Saffron Comet.")
    assert ask(served, question=asked)["source"] == "pending"
    facts.post(served.store, "default", [Document("Ida Frost is the mayor of Orrin.")])
    assert ask(served, question="Who is the mayor of Orrin?")["source"] == "pending"
    version = candidate(served.store, lease, "default-v2", "/a/v2")
    served.fake.adapters["default-v2"] = "/a/v2"
    assert ask(served, question=asked)["source"] == "pending"
    jobs.advance(served.store, lease, JobStatus.PUBLISHING)
    versions.publish(served.store, lease, version)
    assert ask(served, question=asked)["version"] == 2
    versions.activate(served.store, "default", 1)
    assert ask(served, question=ABOUT)["version"] == 1
    versions.activate(served.store, "default", 2)
    assert ask(served, question=ABOUT, min_version=2)["version"] == 2


def test_a_fact_is_answered_by_the_adapter_that_holds_it_under_the_version_that_was_asked(served: Served) -> None:
    pilot, mayor = "Who is the pilot of the Saffron Comet?", "Who is the mayor of Orrin?"
    teach(served.store, "Bo Lunde is the pilot of the Saffron Comet.", adapter="default-v2", path="/a/v2", apart=True)
    teach(served.store, "Ida Frost is the mayor of Orrin.", adapter="default-v3", path="/a/v3", apart=True)
    served.fake.adapters |= {"default-v2": "/a/v2", "default-v3": "/a/v3"}
    spoke = {question: [ask(served, question=question, **named) for named in ({}, {"version": 3}, {"version": 2})]
             for question in (ABOUT, pilot, mayor, OTHER)}  # fmt: skip
    assert {question: [(each["version"], each["adapter"]) for each in told] for question, told in spoke.items()} == {
        ABOUT: [(3, "default-v1"), (3, "default-v1"), (2, "default-v1")],
        pilot: [(3, "default-v2"), (3, "default-v2"), (2, "default-v2")],
        mayor: [(3, "default-v3"), (3, "default-v3"), (2, "default-v2")],  # nothing that version 2 holds: its own
        OTHER: [(None, None), (3, "default-v3"), (2, "default-v2")],
    }
    with served.openai() as client:
        chat = client.chat.completions.create(model="default@3", messages=[{"role": "user", "content": ABOUT}])
    assert chat.choices[0].message.content == spoke[ABOUT][1]["answer"]
    with served.http() as http:
        version = http.get("/namespaces/default/versions/3").json()
        capacity = http.get("/namespaces/default/capacity").json()
    assert version["homes"] == {"1": 2, "2": 1, "3": 1}
    assert capacity["adapters"] == 3


def test_a_home_that_a_model_server_lost_is_loaded_for_the_question_that_needs_it(
    served: Served, tmp_path: Path
) -> None:
    folder = publish_adapter(tmp_path, "default-v2")
    teach(served.store, "Bo Lunde is the pilot of the Saffron Comet.", adapter="default-v2", path=folder, apart=True)
    teach(served.store, "Ida Frost is the mayor of Orrin.", adapter="default-v3", path="/a/v3", apart=True)
    assert ask(served, question="Who is the pilot of the Saffron Comet?")["adapter"] == "default-v2"
    assert served.fake.adapters["default-v2"] == folder
