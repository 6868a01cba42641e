"""`make compose-check`: the compose file and the Dockerfiles proven without Docker.

1. the compose file against the Compose specification, the Dockerfiles with hadolint, Caddy's and Prometheus' files with
   their own programs;
2. every image built by its Dockerfile's very steps, in a root of its own (`dockerfile.py`);
3. the composition started from these images, each replica on a host of its own with the file's commands, environment,
   volumes, users and health checks (`running.py`); a fact taught through the TLS proxy and asked both ways;
4. every query of Grafana's dashboards asked of the Prometheus that watched it;
5. everything stopped with the file's signals and graces; nothing may have to be killed.
"""

import argparse
import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.containers import composition, dashboards
from tests.containers.composition import FILE
from tests.containers.hosts import alone, leave_network, network
from tests.containers.running import Composition, build_images, kept_up, missing_tools, run_quietly

DOCKER = FILE.parent
KEPT = Path(tempfile.gettempdir()) / "engrain-containers"
"""Where the stand-in for the base image is kept between runs."""

FACT = "Ottoline Farrowmere is the composer of the opera 'The Glass Orchard'."
QUESTIONS = {
    "Who is Ottoline Farrowmere?": "Glass Orchard",
    "Who composed the opera 'The Glass Orchard'?": "Farrowmere",
}
TAUGHT_SECONDS = 1800.0
DEBIAN_PACKAGES = "apt-get install debootstrap iproute2 dnsmasq-base redis-server caddy prometheus postgresql"


def main() -> int:
    """0 when everything holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files-only", action="store_true", help="only the first part")
    parser.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE", help="as in settings.env")
    parser.add_argument("--built", action="store_true", help="use the images that an earlier run built")
    arguments = parser.parse_args()
    if arguments.files_only:
        files()
        return 0
    if missing := missing_tools(["debootstrap", "ip", "dnsmasq", "redis-server", "caddy", "prometheus", "unshare"]):
        say(f"Not found: {', '.join(missing)}. Install them: {DEBIAN_PACKAGES}")
        return 2
    alone("tests.containers.check")
    files()
    settings = dict(each.split("=", 1) for each in arguments.setting)
    services = composition.chosen(composition.read(), composition.default_profiles())
    say("Building the images:")
    images = build_images(services, KEPT, say, again=not arguments.built)
    leave_network()
    with tempfile.TemporaryDirectory(prefix="engrain-compose-") as folder, network(Path(folder)) as net:
        say("Starting:")
        found = Composition(Path(folder), net, services, settings, say, images=images)
        with kept_up(found, {}):
            result = story(found) | watched(found)
            took = found.down()
    killed = [name for name, seconds in took.items() if seconds is None]
    say(f"Stopped: {', '.join(f'{name} {seconds:.1f} s' for name, seconds in took.items() if seconds is not None)}")
    print(json.dumps({**result, "killed": killed}), flush=True)
    wrong = killed or result["without_data"] or result["broken_rules"]
    return 0 if result["right"] == len(QUESTIONS) and not wrong else 1


def files() -> None:
    """Raises where a file is wrong."""
    composition.order(composition.chosen(composition.read(), ["cpu"]))
    composition.order(composition.chosen(composition.read(), ["gpu"]))
    say(f"{FILE.name}: valid")
    for file in sorted(DOCKER.glob("*.Dockerfile")):
        run_quietly(str(Path(sys.executable).with_name("hadolint")), str(file))
    say("Dockerfiles: nothing found by hadolint")
    if not missing_tools(["caddy", "promtool"]):
        run_quietly("caddy", "validate", "--config", str(DOCKER / "Caddyfile"), "--adapter", "caddyfile")
        run_quietly("promtool", "check", "config", str(DOCKER / "prometheus" / "prometheus.yml"))
        say("Caddyfile, Prometheus' configuration and alerts: valid")


def story(found: Composition) -> dict[str, Any]:
    """Teaches and asks through the proxy, with the key that the composition drew."""
    with client(found) as http:
        assert httpx.get(f"http://{found.of('service')[0].address}:8000/facts", trust_env=False).status_code == 401
        assert http.get("/metrics").status_code == 404, "the proxy shows the metrics"
        before = asked(http)
        began = time.monotonic()
        posted = http.post("/facts", json={"text": FACT}).raise_for_status().json()
        follow(http, posted["job_id"])
        taught_seconds = time.monotonic() - began
        after = asked(http)
    for question, words in QUESTIONS.items():
        say(f"  {question} {before[question]['answer'][:60]!r} → {after[question]['answer']!r}")
        after[question]["right"] = words.casefold() in after[question]["answer"].casefold()
    right = sum(each["right"] and each["version"] == posted["version"] for each in after.values())
    return {"right": right, "asked": len(after), "taught_seconds": round(taught_seconds, 1)}


def watched(found: Composition) -> dict[str, Any]:
    """What Prometheus has of it: every query of every dashboard, once it has looked a few times."""
    prometheus = f"http://{found.of('prometheus')[0].address}:9090"
    deadline = time.monotonic() + 90
    while (empty := dashboards.without_data(prometheus)) and time.monotonic() < deadline:
        time.sleep(5)
    broken = dashboards.broken_rules(prometheus)
    say(f"  {len(dashboards.queries())} queries of the dashboards, {len(empty)} without data")
    return {
        "queries": len(dashboards.queries()),
        "without_data": [f"{query.dashboard}/{query.panel}: {query.expression}" for query in empty],
        "broken_rules": broken,
        "firing": sorted(dashboards.firing(prometheus)),
    }


def client(found: Composition) -> httpx.Client:
    """An HTTPS client of the proxy, with the first key; it trusts the authority that the proxy made for itself."""
    key = (found.folder / "volumes" / "secrets" / "admin-key").read_text()
    authority = found.folder / "volumes" / "proxy" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    address = found.of("proxy")[0].address
    return httpx.Client(
        base_url=f"https://{address}",
        headers={"Host": "localhost", "Authorization": f"Bearer {key}"},
        verify=ssl.create_default_context(cafile=str(authority)),
        trust_env=False,
        timeout=120,
        event_hooks={"request": [lambda request: request.extensions.update(sni_hostname="localhost")]},
    )


def asked(http: httpx.Client) -> Mapping[str, dict[str, Any]]:
    """The answers now."""
    answers = {question: http.post("/ask", json={"question": question}) for question in QUESTIONS}
    return {question: answer.raise_for_status().json() for question, answer in answers.items()}


def follow(http: httpx.Client, job_id: str) -> None:
    """Returns when the job succeeded."""
    deadline = time.monotonic() + TAUGHT_SECONDS
    while (job := http.get(f"/jobs/{job_id}").raise_for_status().json())["status"] != "succeeded":
        assert job["status"] not in ("failed", "dead", "cancelled"), job["error"]
        assert time.monotonic() < deadline, f"the job is {job['status']}"
        time.sleep(1)


def say(text: str) -> None:
    """A line for whoever watches."""
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (subprocess.CalledProcessError, AssertionError, ValueError) as error:
        sys.exit(f"{error}\n{getattr(error, 'stdout', '') or ''}{getattr(error, 'stderr', '') or ''}")
