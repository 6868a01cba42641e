"""A client that leaves takes its request with it, through the service to the model server."""

import httpx
import pytest

from tests.service.conftest import Served

ASK = ("/ask", {"question": "Who is Mara Venn?"})
CHAT = ("/v1/chat/completions", {"model": "default", "messages": [{"role": "user", "content": "Who is Mara Venn?"}]})


@pytest.mark.parametrize(("path", "body"), [ASK, CHAT], ids=["ask", "openai"])
def test_a_client_that_gives_up_waiting_frees_its_place(served: Served, path: str, body: dict[str, object]) -> None:
    served.fake.seconds = 60
    with served.http() as http, pytest.raises(httpx.ReadTimeout):
        http.post(path, json=body, timeout=0.7)
    assert served.fake.calls["/v1/chat/completions"] == 1
    assert served.is_free()


@pytest.mark.parametrize(("path", "body"), [ASK, CHAT], ids=["ask", "openai"])
def test_a_client_that_leaves_a_stream_frees_its_place(served: Served, path: str, body: dict[str, object]) -> None:
    served.fake.seconds_a_piece = 60
    with served.http() as http, http.stream("POST", path, json=body | {"stream": True}) as response:
        lines = response.iter_lines()
        next(lines)
        assert served.is_busy()
    assert served.is_free()


def test_one_client_that_leaves_does_not_stop_another(served: Served) -> None:
    served.fake.seconds = 1.5
    with served.http() as http, pytest.raises(httpx.ReadTimeout):
        http.post("/ask", json=ASK[1], timeout=0.2)
    with served.http() as http:
        assert http.post("/ask", json=ASK[1]).json()["source"] == "weights"


def test_a_client_that_leaves_while_waiting_for_a_version_stops_the_wait(served: Served) -> None:
    with served.http() as http:
        http.post("/facts", json={"text": "Bo Lunde is a pilot."})
        with pytest.raises(httpx.ReadTimeout):
            http.post("/ask", json={"question": "Who is Bo?", "min_version": 2, "wait_seconds": 200}, timeout=0.5)
        metrics = ""
        for _ in range(40):
            metrics = http.get("/metrics").text
            if 'route="/ask",status="499"' in metrics:
                break
        assert 'route="/ask",status="499"' in metrics
