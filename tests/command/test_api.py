"""The command's side of the HTTP contract, against answers made here."""

import json
from collections.abc import Callable

import httpx
import pytest

from command.api import Api, Refused, parse_events
from knowledge.errors import Unavailable

PROBLEM = {"title": "Not found", "status": 404, "detail": "There is no job job_0.", "code": "not-found"}


def api(answer: Callable[[httpx.Request], httpx.Response]) -> Api:
    return Api("http://engrain.test/", transport=httpx.MockTransport(answer))


def stream(*events: tuple[int, str, dict[str, object]]) -> httpx.Response:
    text = "".join(f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for number, kind, data in events)
    return httpx.Response(200, text=text)


def test_a_problem_is_shown_with_its_title_and_detail() -> None:
    with pytest.raises(Refused, match=r"Not found: There is no job job_0\."):
        api(lambda _: httpx.Response(404, json=PROBLEM)).get("/jobs/job_0")


def test_an_answer_that_is_no_problem_json_is_still_said() -> None:
    with pytest.raises(Refused, match="Bad Gateway: upstream gone"):
        api(lambda _: httpx.Response(502, text="upstream gone")).get("/jobs")


def test_a_service_that_does_not_run_is_said_with_what_to_do() -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    with pytest.raises(Unavailable, match=r"does not answer \(Connection refused\).*engrain up"):
        api(nobody).get("/jobs")


def test_options_that_are_none_are_not_sent() -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(200, json={})

    api(answer).ask("Who?", namespace="default", version=None)
    assert sent == [{"question": "Who?", "namespace": "default"}]


def test_a_broken_stream_of_events_goes_on_where_it_stopped() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("last-event-id"))
        if len(asked) == 1:
            return stream((1, "status", {"status": "queued"}), (2, "progress", {"percent": 5}))
        return stream((3, "status", {"status": "succeeded"}))

    events = list(api(answer).job_events("job_1"))
    assert [data.get("status", "-") for _, data in events] == ["queued", "-", "succeeded"]
    assert asked == [None, "2"]


def test_a_service_that_stays_away_while_a_job_is_followed_is_given_up() -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone", request=request)

    with pytest.raises(Unavailable, match="stopped telling about job_1"):
        list(api(nobody).job_events("job_1"))


def test_events_are_read_past_comments_and_keep_alives() -> None:
    lines = [": ping", "", "event: progress", "data: {}", "id: 9", "", "event: half"]
    assert list(parse_events(iter(lines))) == [("9", "progress", {})]
