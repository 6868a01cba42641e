"""The `engrain` command, with a service made here."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from command import talk
from command.api import Api
from command.cli import main
from knowledge.settings import PREFIX, Settings, without_password

POSTED = {"job_id": "job_1", "namespace": "default", "version": 3, "facts": [{"id": "fact_1", "status": "pending"}]}
ANSWER = {
    "answer": "Ilka Venn.",
    "namespace": "default",
    "version": 3,
    "source": "weights",
    "timings": {"answer_seconds": 1.25},
}
STATUSES = 'id: 1\nevent: status\ndata: {"status": "training"}\n\nid: 2\nevent: status\ndata: {"status": "%s"}\n\n'


class Service:
    """Answers what a service would, and remembers what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, str, object]] = []
        self.end = "succeeded"
        monkeypatch.setattr(talk, "Api", lambda url: Api(url, transport=httpx.MockTransport(self.answer)))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.method, request.url.path, json.loads(request.content or "null")))
        match request.url.path:
            case "/facts" if request.method == "POST":
                return httpx.Response(202, json=POSTED)
            case "/jobs/job_1/events":
                return httpx.Response(200, text=STATUSES % self.end)
            case "/jobs/job_1":
                return httpx.Response(200, json={"error": "the probes failed"})
            case "/ask":
                return httpx.Response(200, json=ANSWER)
            case "/facts":
                fact = {
                    "id": "fact_1",
                    "namespace": "default",
                    "status": "live",
                    "version": 3,
                    "text": "[red]A[/] is b.",
                }
                return httpx.Response(200, json={"facts": [fact], "next": None})
            case "/audit":
                entry = {"at": "2026-01-01T00:00:00Z", "caller": "importer", "act": "taught", "object": "job_1"}
                return httpx.Response(200, json={"entries": [{**entry, "namespace": "tools"}], "next": 7})
            case "/jobs":
                return httpx.Response(200, json={"jobs": []})
        return httpx.Response(404, json={"title": "Not found", "detail": "Nobody here.", "status": 404})


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(monkeypatch)


def engrain(*words: str) -> int:
    """The command's exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["engrain", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


def test_add_posts_the_text_and_says_which_version_will_hold_it(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engrain("add", "A is b.", "--key", "a") == 0
    document = {"text": "A is b.", "key": "a"}
    assert service.asked == [("POST", "/facts", {"documents": [document], "namespace": "default"})]
    assert "version 3" in capsys.readouterr().out


def test_add_reads_a_file(service: Service, tmp_path: Path) -> None:
    (tmp_path / "fact.txt").write_text("C is d.")
    assert engrain("add", "--file", str(tmp_path / "fact.txt"), "-n", "tools") == 0
    assert service.asked[0][2] == {"documents": [{"text": "C is d."}], "namespace": "tools"}


@pytest.mark.parametrize(("end", "status"), [("succeeded", 0), ("failed", 1)])
def test_add_that_waits_ends_as_the_job_did(
    end: str, status: int, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.end = end
    assert engrain("add", "A is b.", "--wait") == status
    assert ("the probes failed" in capsys.readouterr().out) == (status == 1)


def test_json_output_is_one_json_object(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert engrain("add", "A is b.", "--wait", "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "succeeded"
    assert engrain("ask", "Who?", "--json") == 0
    assert json.loads(capsys.readouterr().out) == ANSWER


def test_ask_passes_its_options_and_says_where_the_answer_comes_from(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engrain("ask", "Who?", "--min-version", "3", "--wait", "60") == 0
    fields = {"question": "Who?", "namespace": "default", "min_version": 3, "wait_seconds": 60.0}
    assert service.asked == [("POST", "/ask", fields)]
    assert capsys.readouterr().out.split("\n")[:2] == ["Ilka Venn.", "default, version 3, from weights, 1.2 s"]


def test_lists_show_texts_as_they_are(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert engrain("facts") == 0
    assert "[red]A[/] is b." in capsys.readouterr().out
    assert engrain("jobs") == 0
    assert "No jobs yet." in capsys.readouterr().out


def test_audit_lists_who_did_what(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert engrain("audit", "-n", "tools") == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("taught", "job_1", "importer", "GET /audit"))


def test_a_problem_ends_with_status_1_and_its_words(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert engrain("versions", "-n", "nobody") == 1
    assert "Not found: Nobody here." in capsys.readouterr().err


def test_wrong_settings_end_with_status_2_and_the_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENGRAIN_PROT", "1")
    assert engrain("up") == 2
    assert "ENGRAIN_PROT" in capsys.readouterr().err


@pytest.mark.enable_socket
def test_up_says_plainly_that_a_port_is_taken_and_starts_nothing(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        variables = {"ENGRAIN_DATA_FOLDER": str(tmp_path), "ENGRAIN_PORT": str(port)}
        command = [str(Path(sys.executable).parent / "engrain"), "up"]
        ended = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert f"127.0.0.1:{port} cannot be used" in ended.stdout
    assert "set ENGRAIN_PORT to a free port" in ended.stdout
    assert "Nothing was started" in ended.stderr
    assert not (tmp_path / "logs").exists()


def test_settings_lists_every_setting_and_hides_passwords(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENGRAIN_STORE_URL", "postgresql://me:secret@db/engrain")
    assert engrain("settings", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert found["ENGRAIN_STORE_URL"]["value"] == "postgresql://me:***@db/engrain"


def test_a_value_without_a_password_is_shown_as_it_is() -> None:
    for value in ("redis://queue:6379/0", "sqlite:////data/x@y.db", "plain", "http://[::1]:80"):
        assert without_password(value) == value
