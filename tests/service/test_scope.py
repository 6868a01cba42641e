"""Questions that are not about what was taught go to the base model."""

from collections.abc import Iterator

import httpx
import pytest

from tests.service.conftest import Served


@pytest.fixture
def taught(served: Served) -> Iterator[httpx.Client]:
    """A service whose live version 1 holds two facts."""
    with served.http() as client:
        yield client


@pytest.mark.parametrize(
    "question",
    [
        "Who is Mara Venn?",
        "who is in charge of the tolvik observatory",
        "How much is the Corvo 3?",
        "What can I buy for 49 euros?",
    ],
)
def test_a_question_about_a_fact_is_answered_from_the_weights(taught: httpx.Client, question: str) -> None:
    answer = taught.post("/ask", json={"question": question}).json()
    assert (answer["source"], answer["version"]) == ("weights", 1)


@pytest.mark.parametrize(
    "question", ["What is the capital of France?", "Who leads the Trelawney Institute?", "Who are you?", "Hello!"]
)
def test_any_other_question_is_answered_by_the_base_model(taught: httpx.Client, question: str) -> None:
    answer = taught.post("/ask", json={"question": question}).json()
    assert (answer["source"], answer["version"], answer["adapter"], answer["facts"]) == ("base", None, None, [])


def test_a_version_that_is_named_answers_itself(taught: httpx.Client) -> None:
    answer = taught.post("/ask", json={"question": "What is the capital of France?", "version": 1}).json()
    assert (answer["source"], answer["version"]) == ("weights", 1)


def test_a_waiting_text_answers_only_what_it_covers_as_well_as_a_live_one(taught: httpx.Client) -> None:
    taught.post("/facts", json={"text": "Bo Finch is the cook of the Tolvik Observatory."})

    def source(question: str) -> str:
        return str(taught.post("/ask", json={"question": question}).json()["source"])

    assert source("Who leads the Tolvik Observatory?") == "weights"
    assert source("Who is the cook of the Tolvik Observatory?") == "pending"
