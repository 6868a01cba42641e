"""The OpenAI API's shape, through OpenAI's own client."""

from collections.abc import Callable, Iterator

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from knowledge.facts import Document
from knowledge.store import facts
from tests.service.conftest import Served, teach

ABOUT: ChatCompletionMessageParam = {"role": "user", "content": "Who is Mara Venn?"}
OTHER: ChatCompletionMessageParam = {"role": "user", "content": "What is the capital of France?"}


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with served.openai() as opened:
        yield opened


def test_a_question_about_a_fact_is_answered_by_the_version_that_the_answer_names(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="default", messages=[ABOUT])
    assert (answer.object, answer.model) == ("chat.completion", "default@1")
    assert answer.choices[0].message.content == "default-v1 says hello."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage and (answer.usage.prompt_tokens, answer.usage.total_tokens) == (9, 12)
    assert answer.model_extra and answer.model_extra["engrain"]["source"] == "weights"


def test_another_question_is_answered_by_the_base_model_unless_the_version_is_named(client: OpenAI) -> None:
    assert client.chat.completions.create(model="default", messages=[OTHER]).model == "base"
    assert client.chat.completions.create(model="default@1", messages=[OTHER]).model == "default@1"


def test_the_last_user_message_decides_who_answers(client: OpenAI) -> None:
    said: ChatCompletionMessageParam = {"role": "assistant", "content": "The leader."}
    assert client.chat.completions.create(model="default", messages=[OTHER, said, ABOUT]).model == "default@1"
    assert client.chat.completions.create(model="default", messages=[ABOUT, said, OTHER]).model == "base"


def test_a_fact_that_is_not_live_yet_is_answered_from_its_text(served: Served, client: OpenAI) -> None:
    facts.post(served.store, "default", [Document("Bo Lunde is the pilot of the Saffron Comet.")])
    asked: ChatCompletionMessageParam = {"role": "user", "content": "Who is the pilot of the Saffron Comet?"}
    answer = client.chat.completions.create(model="default", messages=[OTHER, asked])
    assert answer.model == "base"
    assert answer.model_extra and answer.model_extra["engrain"]["source"] == "pending"
    sent = served.fake.bodies[-1]["messages"]
    assert sent[0]["content"] == OTHER["content"]
    assert "Bo Lunde" in sent[1]["content"]


def test_a_conversation_reaches_the_model_whole_with_chat_tokens_broken(served: Served, client: OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "developer", "content": "Be brief.<|im_end|>"},
        {"role": "user", "content": [{"type": "text", "text": "Who"}, {"type": "text", "text": "leads?"}]},
        {"role": "assistant", "content": "Mara Venn."},
        ABOUT,
    ]
    client.chat.completions.create(model="default", messages=messages)
    sent = served.fake.bodies[-1]["messages"]
    assert [each["role"] for each in sent] == ["system", "user", "assistant", "user"]
    assert sent[1]["content"] == "Who\nleads?"
    assert not any("<|im_end|>" in each["content"] for each in sent)


def test_what_the_model_can_do_is_passed_on(served: Served, client: OpenAI) -> None:
    client.chat.completions.create(
        model="default", messages=[ABOUT], max_completion_tokens=2, temperature=0.5, top_p=0.9, stop=["."], seed=7
    )
    sent = served.fake.bodies[-1]
    assert {name: sent[name] for name in ("max_tokens", "temperature", "top_p", "stop", "seed")} == {
        "max_tokens": 2, "temperature": 0.5, "top_p": 0.9, "stop": ["."], "seed": 7,
    }  # fmt: skip


def test_a_stream_gives_the_pieces_of_the_same_answer_then_its_usage(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="default", messages=[ABOUT], stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "default-v1 says hello."
    assert {chunk.model for chunk in chunks} == {"default@1"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens == 3


def test_without_being_asked_a_stream_tells_no_usage(client: OpenAI) -> None:
    stream = client.chat.completions.create(model="default", messages=[ABOUT], stream=True)
    assert all(chunk.usage is None and chunk.choices for chunk in stream)


def test_models_are_the_namespaces_and_their_versions(served: Served, client: OpenAI) -> None:
    teach(served.store, "Bo Lunde is a pilot.", adapter="default-v2", path="/a/v2")
    assert {model.id for model in client.models.list()} == {"default", "default@1", "default@2"}
    assert client.models.retrieve("default@2").created > 0
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


@pytest.mark.parametrize("model", ["nobody", "default@9", "default@", "default@0", "../etc", ""])
def test_a_model_that_is_not_there_is_told_in_the_shape_that_the_client_knows(client: OpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as told:
        client.chat.completions.create(model=model, messages=[ABOUT])
    assert (told.value.code, told.value.type) == ("model_not_found", "invalid_request_error")
    assert model in told.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"temperature": -1}, "temperature"),
        ({"n": 2}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"extra_body": {"colour": "red"}}, "colour"),
    ],
)
def test_what_cannot_be_done_is_a_bad_request_that_names_the_field(
    client: OpenAI, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as told:
        client.chat.completions.create(**{"model": "default", "messages": [ABOUT], **fields})  # type: ignore[call-overload]
    assert told.value.param == param


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_longer_than_the_model_reads_is_a_bad_request(client: OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError, match="context length"):
        client.chat.completions.create(
            model="default@1", messages=[{"role": "user", "content": "why " * 2000}], stream=stream
        )


@pytest.mark.parametrize("stream", [False, True])
def test_model_servers_that_are_down_are_a_503_before_anything_is_streamed(
    served: Served, client: OpenAI, stream: bool
) -> None:
    served.fake.kill()
    with pytest.raises(openai.InternalServerError) as told:
        client.chat.completions.create(model="default", messages=[ABOUT], stream=stream)
    assert (told.value.status_code, told.value.type) == (503, "server_error")


def test_a_stream_that_breaks_off_raises_in_the_client(served: Served, client: OpenAI) -> None:
    served.fake.dies_midway = True
    pieces = []
    with pytest.raises(openai.APIError, match="stopped answering"):
        pieces += list(client.chat.completions.create(model="default", messages=[ABOUT], stream=True))


def test_every_error_of_these_routes_has_the_openai_shape(served: Served) -> None:
    with served.http() as http:
        replies = [
            http.post("/v1/chat/completions", content=b"{"),
            http.post("/v1/chat/completions", content=b"x" * 20_000),
            http.get("/v1/nothing"),
            http.get("/v1/chat/completions"),
        ]
    assert [reply.status_code for reply in replies] == [400, 413, 404, 405]
    assert all(set(reply.json()["error"]) == {"message", "type", "param", "code"} for reply in replies)


def test_an_answer_with_too_little_lift_is_withheld_here_too(serve: Callable[..., Served]) -> None:
    served = serve(least_lift=100.0)
    with served.openai() as client:
        answer = client.chat.completions.create(model="default", messages=[ABOUT])
    assert answer.choices[0].message.content == "I was not taught the answer to this."
    assert answer.model_extra and answer.model_extra["engrain"]["abstained"] is True
