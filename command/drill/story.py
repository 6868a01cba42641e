"""The crash drill: clients at work, parts killed at every step of a job, incidents, and in the end the checker.

Everything that it kills it started itself (`make drill`), or the user agreed (`engrain drill`). `make drill` trains by
the recipe `drill`, which takes seconds and learns nothing: it is about what is kept, not about what is known.
"""

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from command.drill import harm
from command.drill.checker import Report, check
from command.drill.clients import Clients, is_whole, loaded
from command.drill.harm import Blow, Parts, armed, disarm, part_of, wait_for
from command.drill.history import History, read
from knowledge import faults
from knowledge.settings import Settings

REACH_SECONDS = 120.0
HEAL_SECONDS = 300.0
SETTLE_SECONDS = 900.0
MOST_WAITING = 3
NOT_SAID = "no job said so"
"""A fault that passes must have been told by a job meanwhile, or the incident showed nothing."""

MOST_TRIALS = 3
LOCK_SECONDS = 40.0
"""Longer than the 30 s for which a writer waits (knowledge/store/database.py)."""

Say = Callable[[str], None]


class Drill:
    """One drill over a running Engrain."""

    def __init__(
        self, settings: Settings, url: str, parts: Parts, history: History, say: Say, *, seed: int, prefix: str
    ) -> None:
        self.settings, self.parts, self.history, self.say = settings, parts, history, say
        self.clients = Clients(url, history, prefix=prefix, seed=seed)
        self.rng = random.Random(seed)
        self.folder = Path(settings.fault_folder)
        self.struck = 0
        self._until = float("inf")
        self._over = threading.Event()

    def run(self, blows: list[Blow], incidents: list[Callable[[], None]], *, minutes: float = float("inf")) -> Report:
        """Blow after blow, for so many minutes at most, then the incidents; waits until all is settled; the report."""
        self.clients.post()
        self._until = time.monotonic() + 60 * minutes
        held = [blow for blow in blows if blow.step != "any" and blow.part != "self"]
        with self._busy_clients():
            beside = [threading.Thread(target=self._strike_all, args=(held[part::2],), daemon=True) for part in (0, 1)]
            for thread in beside:
                thread.start()
            self._strike_all([blow for blow in blows if blow not in held])
            while any(thread.is_alive() for thread in beside):
                self._have_a_job()
                time.sleep(1.0)
            for incident in incidents:
                incident()
        self.say("Waiting until every job has ended …")
        settled = wait_for(self._settled, SETTLE_SECONDS, 1.0)
        if not settled:
            self.say("Not everything settled in time.")
        self._note_the_end()
        self.clients.close()
        self.history.close()
        return check(read(self.history.path))

    def _strike_all(self, blows: list[Blow]) -> None:
        """One after the other, until time is over. Those at a point that others hold go on beside the rest."""
        waiting, again = deque(blows), Counter(blows)
        while waiting and (began := time.monotonic()) < self._until:
            blow = waiting.popleft()
            done = self._at_any_moment(blow) if blow.step == "any" else self._at_point(blow)
            words = f"killed {done}" if done else "[yellow]was not reached[/]"
            if done:
                self.history.note("kill", part=done, step=blow.step)
            elif again[blow] < MOST_TRIALS:
                again[blow] += 1
                waiting.append(blow)
            self.struck += 1
            self.say(f"{self.struck:>4}  {blow.step:<24} {words} ({time.monotonic() - began:.0f} s)")

    def _at_any_moment(self, blow: Blow) -> str | None:
        self._have_a_job()
        time.sleep(self.rng.uniform(0.0, 4.0))
        deadline = time.monotonic() + REACH_SECONDS
        while not self.parts.kill(blow.part, self.rng):
            if time.monotonic() > deadline:
                return None
            self._have_a_job()
            time.sleep(0.5)
        return blow.part

    def _at_point(self, blow: Blow) -> str | None:
        """Arms the point, sees that something passes it, and kills; None when nothing passed it in time."""
        deadline = min(time.monotonic() + REACH_SECONDS, self._until + REACH_SECONDS / 2)
        wait_for(lambda: not armed(self.folder, blow.step), REACH_SECONDS)  # the others want it too
        faults.arm(self.folder, blow.step, "kill" if blow.part == "self" else f"hold {harm.HOLD_SECONDS}")
        while armed(self.folder, blow.step):
            if time.monotonic() > deadline:
                disarm(self.folder, blow.step)
                return None
            if blow.part == "self":
                self._pass_by(blow.step)
            time.sleep(0.1)
        if blow.part == "self":
            return part_of(blow.step)
        return blow.part if wait_for(lambda: self.parts.kill(blow.part, self.rng), 60.0) else None

    def _pass_by(self, point: str) -> None:
        """Does what makes a process come to the point, and waits a little for it."""
        if point.startswith("activate."):
            if not self.clients.activate(self.rng):
                self._have_a_second_version()
        elif point.startswith(("post.", "send.")):
            self.clients.post()
        else:
            self._have_a_job()
        wait_for(lambda: not armed(self.folder, point), 5.0)

    def _have_a_job(self) -> None:
        """Something is being taught, or is about to be."""
        with suppress(httpx.HTTPError, ValueError):
            waiting = [job["status"] == "queued" for job in self.clients.unfinished()]
            if all(waiting) and len(waiting) < MOST_WAITING:
                self.clients.post()

    def _have_a_second_version(self) -> None:
        with suppress(httpx.HTTPError, ValueError):
            if not self.clients.unfinished():
                self.clients.post_to_one_version()
        self._have_a_job()
        time.sleep(2.0)

    @contextmanager
    def _busy_clients(self) -> Any:
        """Askers, and somebody each who teaches, rolls back and looks, until the block ends."""
        works = [self._ask, self._ask, self._teach, self._roll_back, self._look]
        seeds = [self.rng.random() for _ in works]
        threads = [
            threading.Thread(target=work, args=(random.Random(seed),), daemon=True)
            for work, seed in zip(works, seeds, strict=True)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(60)

    def _ask(self, rng: random.Random) -> None:
        while not self._over.wait(rng.uniform(1, 5)):
            if self.clients.namespaces():
                self.clients.ask(rng)

    def _teach(self, rng: random.Random) -> None:
        while not self._over.wait(rng.uniform(5, 15)):
            with suppress(httpx.HTTPError, ValueError):
                if len(self.clients.unfinished()) < MOST_WAITING:
                    self.clients.post()

    def _roll_back(self, rng: random.Random) -> None:
        while not self._over.wait(rng.uniform(10, 20)):
            self.clients.activate(rng)

    def _look(self, rng: random.Random) -> None:
        while not self._over.wait(rng.uniform(1, 3)):
            if spaces := self.clients.namespaces():
                self.clients.look(rng.choice(spaces))
            self._note_loaded()

    def _note_loaded(self) -> None:
        for server in self.settings.replicas:
            found = loaded(server)
            if found is not None:
                self.history.note("loaded", adapters=found)

    def _settled(self) -> bool:
        try:
            return not self.clients.unfinished() and self.clients.http.get("/readyz").status_code == 200
        except (httpx.HTTPError, ValueError):
            return False

    def _note_the_end(self) -> None:
        self._note_loaded()
        folder = self.settings.adapters_folder
        versions = [
            {name: each[name] for name in ("namespace", "version", "status", "adapter", "facts")}
            | {"whole": is_whole(str(folder / each["adapter"]))}
            for namespace in self.clients.namespaces()
            for each in self.clients.look(namespace)
        ]
        self.history.note(
            "final",
            facts=[
                {name: fact[name] for name in ("id", "namespace", "text", "status", "job_id")}
                for fact in self.clients.everything("/facts", "facts")
            ],
            jobs=[{name: job[name] for name in ("id", "status")} for job in self.clients.everything("/jobs", "jobs")],
            versions=versions,
        )

    # Incidents: each is healed when every job that was under way then has ended, with no hand.

    def incident(self, name: str, how: str, happen: Callable[[], str]) -> None:
        """Lets something happen and waits until the jobs that it hit have ended, while clients go on."""
        began = time.monotonic()
        self.say(f"{name} ({how}) …")
        detail = happen()
        hit: set[str] = set()

        def over() -> bool:
            with suppress(httpx.HTTPError, ValueError):
                left = {job["id"] for job in self.clients.unfinished()}
                hit.update(left if not hit else ())
                return not hit & left and self.clients.http.get("/readyz").status_code == 200
            return False

        healed = wait_for(over, HEAL_SECONDS, 1.0) and detail != NOT_SAID
        seconds = f"{time.monotonic() - began:.0f} s"
        detail = f"{detail}; " if detail else ""
        detail += (
            f"{len(hit)} jobs under way then ended, every part ready, after {seconds}"
            if healed
            else f"not healed after {seconds}"
        )
        self.history.note("incident", name=name, how=how, healed=healed, detail=detail)
        self.say(f"  {'[green]healed[/]' if healed else '[red]not healed[/]'}: {detail}")

    def wipe_broker(self) -> None:
        """The broker forgets everything while jobs wait; then also its files go, and it is killed."""

        def flush() -> str:
            self._post_several(2)
            harm.wipe_broker(self.settings, files=False)
            self._post_several(1)
            return ""

        def remove() -> str:
            self._post_several(2)
            harm.wipe_broker(self.settings, files=True)
            self.parts.kill("broker", self.rng)
            self._post_several(1)
            return ""

        self.incident("broker wiped", "FLUSHALL while it runs", flush)
        if not self.settings.broker_url:
            self.incident("broker wiped and killed", "FLUSHALL, files removed, SIGKILL", remove)

    def fill_disk(self, *, mounted: bool) -> None:
        """Nothing more can be written where adapters are made, until a job said so."""

        def happen() -> str:
            self._post_several(1)
            if mounted:
                with harm.filled(self.settings.adapters_folder):
                    return self._until_it_says("disk is full")
            faults.arm(self.folder, "publish.before_rename", "full")
            return self._until_it_says("disk is full")

        how = "a tmpfs filled to its last byte" if mounted else "fault point publish.before_rename raises ENOSPC"
        self.incident("disk full while publishing", how, happen)

    def stop_store(self, restart: str) -> None:
        """The store does not take a write for longer than anybody waits, or its server is restarted."""

        def lock() -> str:
            self._post_several(1)
            with harm.locked(self.settings.data_folder / "store.sqlite3"):
                time.sleep(LOCK_SECONDS)
            self._post_several(1)
            return ""

        def stop() -> str:
            self._post_several(2)
            harm.restart_store(restart)
            self._post_several(1)
            return ""

        if restart:
            self.incident("store restarted", restart, stop)
        elif not self.settings.store_url:
            self.incident("store locked", f"SQLite's write lock held for {LOCK_SECONDS:.0f} s", lock)

    def _post_several(self, number: int) -> None:
        for _ in range(number):
            self.clients.post()

    def _until_it_says(self, words: str) -> str:
        """What a job that was given back says of the fault."""
        found: list[str] = []

        def said() -> bool:
            with suppress(httpx.HTTPError, ValueError):
                errors = [str(job["error"]) for job in self.clients.everything("/jobs", "jobs")]
                found.extend(error for error in errors if words in error)
            return bool(found)

        wait_for(said, REACH_SECONDS, 0.5)
        return f'a job said "{found[0]}"' if found else NOT_SAID


def told(report: Report) -> dict[str, Any]:
    """The report as the one line of JSON at a drill's end; violations as numbers, and as sentences."""
    names = ("lost", "doubled", "half_loaded", "stale_reads", "wrong_version", "not_healed")
    whole = asdict(report)
    numbers = {name: len(whole.pop(name)) for name in names}
    return {**whole, "kills_total": sum(report.kills.values()), **numbers, "violations": report.violations}
