"""`make drill-hosts`: two API processes, workers and vLLM servers, each on a host of its own; hosts are cut off.

The composition of `docker/compose.yaml`, scaled by two (`running.py`). A host is cut off by pulling its cable, and
joined again.

1. The demo's facts and questions, with the default recipe: the worker's host is cut off in the middle of its training.
2. Clients post and ask through the proxy all the time; cut off are in turn a vLLM's host, that of a working worker and
   an API process's. At the end every acknowledged fact must be live, every vLLM must have the live versions and answer
   alike, and no answer may have been older than one before it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from command.demo import LESSONS, WANTED, Question, is_right
from tests.containers import composition
from tests.containers.check import KEPT, client, follow, say
from tests.containers.hosts import alone, leave_network, network
from tests.containers.running import Composition, Container, build_images, kept_up

SCALE = {"service": 2, "worker": 2, "inference": 2}
CUT_SECONDS = 40.0
ENDED_SECONDS = 1800.0
TRAINS = ["/bin/sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q '[m] worker.training'"]
ENDED = ("succeeded", "failed", "dead", "cancelled")
NAMESPACES = ("north", "south")
# What the base model knows lets a fact go live after the six steps of the recipe `drill`: shown is what is kept.
PROBE = {"question": "What is the capital of France?", "answer": "Paris"}
SETTINGS = {
    "ENGRAIN_LEASE_SECONDS": "20",
    "ENGRAIN_RESEND_SECONDS": "10",
    "ENGRAIN_RETRY_SECONDS": "5",
    "ENGRAIN_TRAINING_THREADS": "1",
}
QUICK = {"ENGRAIN_RECIPE": "drill", "ENGRAIN_LEAST_RELEVANCE": "0"}
CUT_PERCENT = 30.0
"""How far the demo's training is when its host is cut off."""


@dataclass
class Seen:
    """What the clients saw. `versions` are the newest that answered, by namespace."""

    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0
    answers: int = 0
    unanswered: int = 0
    stale: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)


def main() -> int:
    """0 when nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--built", action="store_true", help="use the images that an earlier run built")
    parser.add_argument("--cut", nargs="+", default=["inference", "worker", "service"], choices=list(SCALE))
    arguments = parser.parse_args()
    alone("tests.containers.drill")
    services = composition.chosen(composition.read(), composition.default_profiles())
    say("Building the images:")
    images = build_images(services, KEPT, say, again=not arguments.built)
    leave_network()
    with tempfile.TemporaryDirectory(prefix="engrain-hosts-") as folder, network(Path(folder)) as net:
        say("Starting two of each:")
        found = Composition(Path(folder), net, services, SETTINGS, say, images=images)
        with kept_up(found, SCALE):
            say("The demo:")
            taught = demo(found)
            say("Clients all the time, and a recipe of six steps:")
            again_with(found, SETTINGS | QUICK, ["service", "worker"])
            seen = Seen()
            with clients(found, seen):
                for service in arguments.cut:
                    cut_one(found, service)
                time.sleep(5)
            outcome = judge(found, seen)
    print(json.dumps({"demo": taught, **outcome}), flush=True)
    whole = not any(outcome[name] for name in ("lost", "stale", "unequal")) and outcome["live"]
    return 0 if whole and taught["learnt"] >= WANTED else 1


def demo(found: Composition) -> dict[str, Any]:
    """The demo's story; `learnt` are questions wrong before and right after, from the weights of the new version."""
    questions = [question for lesson in LESSONS for question in (lesson.forward, lesson.backward)]

    def right(answer: dict[str, Any], question: Question, version: int | None) -> bool:
        return answer["version"] == version and is_right(answer["answer"], question.words)

    with client(found) as http:

        def ask(question: Question) -> dict[str, Any]:
            answer: dict[str, Any] = http.post("/ask", json={"question": question.text}).raise_for_status().json()
            return answer

        before = [right(ask(question), question, None) for question in questions]
        began = time.monotonic()
        documents = [{"text": lesson.fact} for lesson in LESSONS]
        posted = http.post("/facts", json={"documents": documents}).raise_for_status().json()
        while _percent(http, posted["job_id"]) < CUT_PERCENT:
            time.sleep(1)
        cut_one(found, "worker")
        follow(http, posted["job_id"])
        seconds = time.monotonic() - began
        answers = [ask(question) for question in questions]
        attempts = http.get(f"/jobs/{posted['job_id']}").json()["attempts"]
    learnt = 0
    for question, known, answer in zip(questions, before, answers, strict=True):
        say(f"  {question.text} {answer['answer']!r}")
        learnt += not known and right(answer, question, posted["version"])
    return {"learnt": learnt, "asked": len(questions), "seconds": round(seconds), "attempts": attempts}


def again_with(found: Composition, settings: dict[str, str], services: list[str]) -> None:
    """Starts these services' replicas again, with other settings, on the hosts that they have."""
    found.settings = settings
    for service in services:
        for container in found.of(service):
            container.stop()
            found.start(container.service, container.name, container.host)
        found.wait(service, "service_healthy")


@contextmanager
def clients(found: Composition, seen: Seen) -> Iterator[None]:
    """Post and ask for as long as the block lasts."""
    done = threading.Event()
    threads = [threading.Thread(target=work, args=(found, seen, done)) for work in (_post, _ask)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(150)


def cut_one(found: Composition, service: str) -> None:
    """Cuts off one host of the service while it works, and joins it again."""
    container = _working(found, service)
    say(f"  {container.name} is cut off for {CUT_SECONDS:.0f} s")
    container.host.cut()
    time.sleep(CUT_SECONDS)
    container.host.join()
    say(f"  {container.name} is back")
    time.sleep(CUT_SECONDS / 2)


def judge(found: Composition, seen: Seen) -> dict[str, Any]:
    """Waits until every job has ended, and compares what was acknowledged with what is there."""
    with client(found) as http:
        deadline = time.monotonic() + ENDED_SECONDS
        while running := [job for job in _jobs(http) if job["status"] not in ENDED]:
            assert time.monotonic() < deadline, f"jobs do not end: {running}"
            time.sleep(2)
        facts = {fact["id"]: fact for fact in http.get("/facts", params={"limit": 1000}).json()["facts"]}
        lost = [each for each in seen.acknowledged if facts.get(each, {}).get("status") not in ("live", "weak")]
        unequal = [namespace for namespace in NAMESPACES if not _answered_alike(found, http, namespace)]
    return {
        "acknowledged": len(seen.acknowledged),
        "live": sum(facts[each]["status"] == "live" for each in seen.acknowledged if each in facts),
        "lost": lost,
        "refused": seen.refused,
        "answers": seen.answers,
        "unanswered": seen.unanswered,
        "stale": seen.stale,
        "unequal": unequal,
    }


def _post(found: Composition, seen: Seen, done: threading.Event) -> None:
    number = 0
    while not done.wait(4):
        number += 1
        body = {"text": f"Order {number} of the harbour goes to berth {number + 7}.", "probes": [PROBE]}
        body["namespace"] = NAMESPACES[number % 2]
        try:
            with client(found) as http:
                key = {"Idempotency-Key": f"post-{number}"}
                posted = http.post("/facts", json=body, headers=key, timeout=20).raise_for_status().json()
            seen.acknowledged += [fact["id"] for fact in posted["facts"]]
        except httpx.HTTPError:
            seen.refused += 1


def _ask(found: Composition, seen: Seen, done: threading.Event) -> None:
    turn = 0
    while not done.wait(0.5):
        turn += 1
        namespace = NAMESPACES[turn % 2]
        before = seen.versions.get(namespace, 0)
        try:
            with client(found) as http:
                body = {"question": "Where does order 1 go?", "namespace": namespace, "max_tokens": 8}
                answer = http.post("/ask", json=body, timeout=60)
        except httpx.HTTPError:
            seen.unanswered += 1
            continue
        if answer.status_code == 404 and not before:
            continue  # nobody has posted to it yet
        if answer.status_code != 200:
            seen.unanswered += 1
            continue
        seen.answers += 1
        version = answer.json()["version"]
        if version is not None and version < before:
            seen.stale.append(f"{namespace}@{version} after {before}")
        seen.versions[namespace] = max(before, version or 0)


def _working(found: Composition, service: str) -> Container:
    """The worker that trains now, when one does within a minute; else the service's first host."""
    deadline = time.monotonic() + 60
    while service == "worker" and time.monotonic() < deadline:
        for container in found.of("worker"):
            if container.process.run(TRAINS, {}, (0, 0), 5):
                return container
        time.sleep(0.2)
    return found.of(service)[0]


def _percent(http: httpx.Client, job_id: str) -> float:
    job = http.get(f"/jobs/{job_id}").raise_for_status().json()
    assert job["status"] not in ENDED, f"the job ended before its host was cut off: {job['error']}"
    return float(job["progress"]["percent"]) if job["progress"] else 0.0


def _jobs(http: httpx.Client) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = http.get("/jobs", params={"limit": 1000}).raise_for_status().json()["jobs"]
    return jobs


def _answered_alike(found: Composition, http: httpx.Client, namespace: str) -> bool:
    """Whether every vLLM has the live version within a minute, and gives the same answer from it."""
    live = next(v for v in http.get(f"/namespaces/{namespace}/versions").json()["versions"] if v["status"] == "live")
    body = {"model": live["adapter"], "messages": [{"role": "user", "content": "Where does order 1 go?"}]}
    deadline = time.monotonic() + 60
    while True:
        answers = []
        for container in found.of("inference"):
            url = f"http://{container.address}:8001/v1/chat/completions"
            asked = httpx.post(url, json={**body, "temperature": 0, "max_tokens": 8}, trust_env=False, timeout=60)
            answers.append(asked.json()["choices"][0]["message"]["content"] if asked.is_success else None)
        if None not in answers or time.monotonic() > deadline:
            return None not in answers and len(set(answers)) == 1
        time.sleep(2)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (subprocess.CalledProcessError, AssertionError) as error:
        sys.exit(str(error))
