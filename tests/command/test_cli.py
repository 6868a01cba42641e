"""The `engrain` command, with a service made here."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
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
        self.says: Callable[[int], str] = lambda version: "It was Ilka Venn." if version < 6 else "Nobody."
        monkeypatch.setattr(talk, "Api", lambda url: Api(url, transport=httpx.MockTransport(self.answer)))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.method, request.url.path, json.loads(request.content or "null")))
        match request.url.path:
            case "/facts" if request.method == "POST":
                return httpx.Response(202, json=POSTED)
            case "/jobs/job_1/events":
                return httpx.Response(200, text=STATUSES % self.end)
            case "/facts/fact_1" if request.method == "DELETE":
                return httpx.Response(202, json={"id": "fact_1", "status": "live", "job_id": "job_1", "forgotten": {}})
            case "/jobs/job_1":
                return httpx.Response(200, json={"error": "the probes failed"})
            case "/namespaces/default/versions":
                kept = [{"version": number, "status": "retired"} for number in range(1, 9)]
                kept += [{"version": 9, "status": "live"}, {"version": 10, "status": "deleted"}]
                return httpx.Response(200, json={"versions": kept[::-1]})
            case "/namespaces/default/versions/2/activate":
                return httpx.Response(200, json={"version": 2, "facts": ["fact_1"]})
            case path if "/diff/" in path:
                before, after = ({"id": "fact_1", "forward": n, "backward": n, "known": n > 0} for n in (1.0, 0.0))
                rescored = [{"id": "fact_1", "before": before, "after": after}]
                found = {"before": 5, "after": 6, "added": ["fact_2"], "removed": [], "harmed": ["fact_1"]}
                return httpx.Response(200, json={**found, "rescored": rescored})
            case path if path.startswith("/facts/"):
                return httpx.Response(
                    200, json={"text": f"The text of {path[7:]}.", "status": "forgotten", "forgotten": {}}
                )
            case "/ask" if (version := json.loads(request.content).get("version")) is not None:
                return httpx.Response(200, json={**ANSWER, "version": version, "answer": self.says(version)})
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


def test_forget_says_when_it_will_be_and_waits_for_it(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert engrain("forget", "fact_1") == 0
    assert service.asked == [("DELETE", "/facts/fact_1", None)]
    assert "fact_1 is live until job_1" in capsys.readouterr().out
    assert engrain("forget", "fact_1", "--wait") == 0
    assert "Forgotten: fact_1." in capsys.readouterr().out


def test_activate_and_diff_say_what_they_did(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert engrain("activate", "2") == engrain("diff", "5", "6") == 0
    printed = capsys.readouterr().out
    assert "Version 2 of default is live, with 1 fact(s)." in printed
    for words in (
        ("harmed", "fact_1", "1.00 → 0.00", "The text of fact_1."),
        ("added", "fact_2", "The text of fact_2."),
    ):
        assert any(all(word in line for word in words) for line in printed.splitlines()), words


def test_bisect_finds_where_an_answer_broke_with_few_questions(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engrain("bisect", "Who?", "--expect", "ilka venn") == 0
    printed = capsys.readouterr().out
    assert "Right in version 5, wrong in version 6." in printed and "The text of fact_1." in printed
    asked = [body["version"] for _, path, body in service.asked if path == "/ask" and isinstance(body, dict)]
    assert asked == [9, 1, 5, 7, 6]


def test_bisect_asks_all_of_an_answer_that_came_back_when_it_is_told_to(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.says = lambda version: "Ilka Venn" if version in (2, 3, 7) else "Nobody."
    assert engrain("bisect", "Who?", "--expect", "Ilka") == 1
    assert "--linear" in capsys.readouterr().out
    assert engrain("bisect", "Who?", "--expect", "Ilka", "--linear", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["good"], found["bad"], len(found["asked"])) == (7, 8, 9)


def test_bisect_says_when_nothing_is_broken(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert engrain("bisect", "Who?", "--expect", "nobody") == 0
    assert "The newest version answers rightly." in capsys.readouterr().out


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
