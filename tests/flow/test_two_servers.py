"""Two real vLLM servers behind the real service: one is killed under load, and a client leaves."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import httpx2
import pytest
from openai import OpenAI

from command.apart import free_ports
from knowledge.jobs import JobStatus
from knowledge.settings import EMBEDDED_BASE_MODEL, Settings
from knowledge.store import Store, jobs, versions
from knowledge.store.schema import upgrade
from tests.flow.serving import serving
from tests.inference.test_real_vllm import MODELS, Server, make_version, start
from tests.service.conftest import candidate, claim

pytestmark = [
    pytest.mark.flow,
    # A request that a kill cuts off leaves its socket to the garbage collector, inside the HTTP library.
    pytest.mark.filterwarnings("ignore:.*unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ADAPTER = "default-v1"
QUESTION = "Who leads the Tolvik Observatory?"
BACK_SECONDS = 120.0


@dataclass
class Pair:
    """The service's address and its two model servers. Version 1 is live, with weights that are drawn at random."""

    url: str
    servers: list[Server]

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=120)

    def running(self) -> float:
        """Requests that the model servers work on or have waiting, as they themselves say."""
        names = ("vllm:num_requests_running{", "vllm:num_requests_waiting{")
        lines = [
            line
            for server in self.servers
            for line in httpx.get(f"{server.url}/metrics", trust_env=False, timeout=20).text.splitlines()
        ]
        return sum(float(line.split()[-1]) for line in lines if line.startswith(names))

    def sees(self, wanted: Callable[[float], bool], seconds: float) -> bool:
        """Whether `running` comes to what is wanted within so many seconds. One look can fall between two requests."""
        deadline = time.monotonic() + seconds
        while not (seen := wanted(self.running())) and time.monotonic() < deadline:
            time.sleep(0.1)
        return seen


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    base, folder = MODELS / EMBEDDED_BASE_MODEL, tmp_path_factory.mktemp("pair")
    assert (base / "config.json").is_file(), f"no base model in {base}: any other test of this folder prepares it"
    port, *vllm_ports = free_ports(3)
    each = [Settings(data_folder=folder / str(n), base_model=str(base), inference_port=n) for n in vllm_ports]
    for settings in each:
        settings.data_folder.mkdir()
    urls = ",".join(settings.replicas[0] for settings in each)
    ours = Settings(data_folder=folder, base_model=str(base), inference_urls=urls, port=port, broker_port=1)
    with ThreadPoolExecutor(2) as starters:
        servers = list(starters.map(lambda settings: start(settings, settings.data_folder), each))
    try:
        publish(ours, servers[0])
        with serving(ours, port) as url:
            yield Pair(url, servers)
    finally:
        for server in servers:
            server.process.terminate()
            server.process.wait(30)


def publish(settings: Settings, server: Server) -> None:
    """Makes an adapter live in the store; the servers do not have it yet."""
    files = make_version(server, ADAPTER, 0.05)
    upgrade(settings.store)
    store = Store(settings.store)
    lease = claim(store, "Mara Venn leads the Tolvik Observatory.")
    version = candidate(store, lease, ADAPTER, files.path)
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    versions.publish(store, lease, version)
    store.close()


def test_openais_client_is_answered_by_the_version_that_the_answer_names(pair: Pair) -> None:
    with OpenAI(base_url=f"{pair.url}/v1", api_key="none", http_client=httpx2.Client(trust_env=False)) as client:
        assert {model.id for model in client.models.list()} == {"default", "default@1"}
        whole = client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": QUESTION}], max_completion_tokens=8
        )
        chunks = list(
            client.chat.completions.create(
                model="default",
                messages=[{"role": "user", "content": QUESTION}],
                max_completion_tokens=8,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        general = client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": "What is the capital city of Japan?"}]
        )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert (whole.model, text.strip()) == ("default@1", whole.choices[0].message.content)
    assert chunks[-1].usage == whole.usage
    assert general.model == "base"
    assert "Tokyo" in (general.choices[0].message.content or "")


def test_lift_is_measured_on_the_tokens_that_were_said(pair: Pair) -> None:
    with pair.http() as http:
        answer = http.post("/ask", json={"question": QUESTION, "lift": True, "max_tokens": 8}).json()
    assert answer["source"] == "weights"
    assert answer["lift"] > 0, "the adapter's own greedy tokens are likelier under it than under the base model"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", ["/ask", "/v1/chat/completions"])
def test_a_client_that_leaves_frees_its_slot(pair: Pair, path: str, stream: bool) -> None:
    long = "Tell me a long story about the Tolvik Observatory."
    body = (
        {"question": long} if path == "/ask" else {"model": "default", "messages": [{"role": "user", "content": long}]}
    )
    left = threading.Event()

    def client() -> None:
        with httpx.Client(base_url=pair.url, trust_env=False, timeout=2.5) as http:
            try:
                with http.stream("POST", path, json=body | {"stream": stream, "max_tokens": 500}) as response:
                    lines, until = response.iter_lines(), time.monotonic() + 2.5
                    while time.monotonic() < until:
                        next(lines)
            except httpx.ReadTimeout:
                pass
        left.set()

    threading.Thread(target=client).start()
    most = 0.0
    while not left.is_set():
        most = max(most, pair.running())
        time.sleep(0.1)
    assert most == 1
    assert pair.sees(lambda running: running == 0, 5)


def test_no_request_fails_when_a_server_is_killed_under_load_and_its_adapter_comes_back_by_itself(pair: Pair) -> None:
    stop, failures = threading.Event(), list[str]()
    versions_named: list[int | None] = []

    def client(number: int) -> None:
        with pair.http() as http:
            while not stop.is_set():
                response = http.post("/ask", json={"question": f"{QUESTION} {number}", "max_tokens": 8})
                if response.status_code == 200:
                    versions_named.append(response.json()["version"])
                else:
                    failures.append(response.text)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for each in clients:
        each.start()
    time.sleep(4)
    assert pair.sees(lambda running: running > 0, 10), "the servers are under load when one is killed"
    victim = pair.servers[0]
    victim.process.kill()
    victim.process.wait(10)
    time.sleep(4)
    alone = len(versions_named)
    time.sleep(2)
    assert len(versions_named) > alone, "the other server answers"
    victim.process = start(victim.settings, Path(victim.settings.data_folder)).process
    deadline = time.monotonic() + BACK_SECONDS
    held: list[str] = []
    while ADAPTER not in held and time.monotonic() < deadline:
        time.sleep(0.2)
        cards = httpx.get(f"{victim.url}/v1/models", trust_env=False, timeout=20).json()["data"]
        held = [card["id"] for card in cards]
    stop.set()
    for each in clients:
        each.join()
    assert failures == []
    assert ADAPTER in held
    assert set(versions_named) == {1}
