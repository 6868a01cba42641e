"""What one says to a running Engrain: `engrain add`, `ask`, `facts`, `forget`, `jobs`, `versions` and so on."""

import json
import time
from typing import Any

from rich.console import Console
from rich.markup import escape

from command import bisect
from command.api import ENDED, Api
from command.follow import follow, progress_words
from command.lists import show_list

LOOK_SECONDS = 1.0


class Talk:
    """One command's conversation: the service, the screen, and whether a program reads the answer."""

    def __init__(self, url: str, *, as_json: bool) -> None:
        self.api = Api(url)
        self.as_json = as_json
        self.out = Console(highlight=False, soft_wrap=True)
        self.notes = Console(stderr=as_json, highlight=False, soft_wrap=True)

    def add(self, text: str, namespace: str, key: str | None, title: str | None, *, wait: bool) -> int:
        """Posts one document; with `wait`, follows its job. 1 when the job did not succeed."""
        given = {"text": text, "key": key, "title": title}
        document = {name: value for name, value in given.items() if value is not None}
        posted = self.api.teach([document], namespace)
        job_id, status = posted["job_id"], None
        if not self.as_json:
            self._say_posted(posted)
        if wait and job_id:
            status = follow(self.api, job_id, self.notes)
            posted["status"] = status
        self._json(posted)
        if status and not self.as_json:
            self._say_end(posted, status)
        return 0 if status in (None, "succeeded") else 1

    def ask(self, question: str, **options: Any) -> int:
        """Asks and prints the answer with where it came from."""
        answer = self.api.ask(question, **options)
        if self._json(answer):
            return 0
        version = f"version {answer['version']}" if answer["version"] else "no version yet"
        self.out.print(answer["answer"], markup=False)
        seconds = answer["timings"]["answer_seconds"]
        self.out.print(f"[dim]{answer['namespace']}, {version}, from {answer['source']}, {seconds:.1f} s[/]")
        return 0

    def facts(self, namespace: str | None) -> int:
        """Lists facts."""
        found = self.api.get("/facts", namespace=namespace)
        if not self._json(found):
            rows = [(f["id"], f["namespace"], f["status"], f["version"], f["text"]) for f in found["facts"]]
            show_list(("fact", "namespace", "status", "version", "text"), rows)
            if found.get("next"):
                self.notes.print("[dim]There are more: see GET /facts.[/]")
        return 0

    def forget(self, fact_id: str, *, wait: bool) -> int:
        """Asks to forget a fact; with `wait`, follows the job that it needs. 1 when that did not succeed."""
        asked = self.api.delete(f"/facts/{fact_id}")
        ended = None
        if wait and asked["status"] != "forgotten":
            ended = follow(self.api, asked["job_id"], self.notes)
            asked["forgotten"] = (fact := self.api.get(f"/facts/{fact_id}"))["forgotten"]
            asked["status"] = fact["status"]
        if not self._json(asked):
            if asked["status"] == "forgotten":
                self.out.print(f"Forgotten: {fact_id}.")
            else:
                self.out.print(f"{fact_id} is {asked['status']} until {asked['job_id']} has made a version without it.")
        return 0 if ended in (None, "succeeded") else 1

    def jobs(self, namespace: str | None, *, watch: bool) -> int:
        """Lists jobs; with `watch`, follows the running one and waits for the next until Ctrl-C."""
        if watch:
            self._watch(namespace)
        found = self.api.get("/jobs", namespace=namespace)
        if not self._json(found):
            rows = [
                (j["id"], j["namespace"], j["version"], j["status"], len(j["facts"]), _how_far(j))
                for j in found["jobs"]
            ]
            show_list(("job", "namespace", "version", "status", "facts", ""), rows)
        return 0

    def versions(self, namespace: str) -> int:
        """Lists a namespace's versions."""
        found = self.api.get(f"/namespaces/{namespace}/versions")
        if not self._json(found):
            rows = [
                (v["version"], v["status"], len(v["facts"]), f"{v['score']:.2f}", v["activated_at"] or "", v["adapter"])
                for v in found["versions"]
            ]
            show_list(("version", "status", "facts", "score", "live since", "adapter"), rows)
        return 0

    def activate(self, number: int, namespace: str) -> int:
        """Rolls back or forward."""
        version = self.api.post(f"/namespaces/{namespace}/versions/{number}/activate", {})
        if not self._json(version):
            self.out.print(f"Version {number} of {namespace} is [green]live[/], with {len(version['facts'])} fact(s).")
        return 0

    def diff(self, before: int, after: int, namespace: str) -> int:
        """What differs between two versions."""
        found = self.api.get(f"/namespaces/{namespace}/versions/{before}/diff/{after}")
        if not self._json(found):
            self._say_diff(found)
        return 0

    def bisect(self, question: str, expect: str, namespace: str, *, linear: bool) -> int:
        """Finds the version where an answer broke. 0 when it was found, or nothing is broken; 1 when none was right."""
        numbers = bisect.kept_versions(self.api, namespace)
        found = bisect.find_break(numbers, bisect.asker(self.api, namespace, question, expect), linear=linear)
        diff = None
        if found.good is not None and found.bad is not None:
            diff = self.api.get(f"/namespaces/{namespace}/versions/{found.good}/diff/{found.bad}")
        if not self._json(bisect.as_json(question, expect, found, diff)):
            rows = [(reply.version, "right" if reply.right else "wrong", reply.answer) for reply in found.asked]
            show_list(("version", "", "answer"), rows)
            if diff is not None:
                self.out.print(f"Right in version {found.good}, wrong in version {found.bad}.")
                self._say_diff(diff)
            elif found.good is not None:
                self.out.print("The newest version answers rightly.")
            else:
                self.out.print("No version that was asked answers rightly; --linear asks all that are kept.")
        return 0 if found.good is not None else 1

    def audit(self, namespace: str | None) -> int:
        """Lists who did what, newest first."""
        found = self.api.get("/audit", namespace=namespace)
        if not self._json(found):
            rows = [(e["act"], e["object"], e["namespace"], e["caller"], e["at"]) for e in found["entries"]]
            show_list(("act", "object", "namespace", "caller", "time"), rows)
            if found.get("next"):
                self.notes.print("[dim]There are more: see GET /audit.[/]")
        return 0

    def _watch(self, namespace: str | None) -> None:
        while True:
            jobs = self.api.get("/jobs", namespace=namespace)["jobs"]
            running = [job for job in jobs if job["status"] not in ENDED]
            if running and self.as_json:
                for kind, data in self.api.job_events(running[-1]["id"]):
                    print(json.dumps({"job_id": running[-1]["id"], "event": kind, **data}), flush=True)
            elif running:
                follow(self.api, running[-1]["id"], self.out)
            time.sleep(LOOK_SECONDS)

    def _say_diff(self, diff: dict[str, Any]) -> None:
        """Each fact that came, went, or did better or worse, with its text."""
        harmed = set(diff["harmed"])
        rescored = {each["id"]: each for each in diff["rescored"]}
        rows = [("added", fact_id, "") for fact_id in diff["added"]]
        rows += [("removed", fact_id, "") for fact_id in diff["removed"]]
        rows += [
            (
                "harmed" if fact_id in harmed else "rescored",
                fact_id,
                f"{_mean(each['before'])} → {_mean(each['after'])}",
            )
            for fact_id, each in rescored.items()
        ]
        texts = [str(self.api.get(f"/facts/{fact_id}")["text"]) for _, fact_id, _ in rows]
        if rows:
            show_list(
                ("change", "fact", "score", "text"), [(*row, text) for row, text in zip(rows, texts, strict=True)]
            )
        else:
            self.out.print(f"Versions {diff['before']} and {diff['after']} hold the same facts, with the same scores.")

    def _say_posted(self, posted: dict[str, Any]) -> None:
        if posted["job_id"] is None:
            self.out.print(f"Known already: {len(posted['facts'])} fact(s), nothing to train.")
        else:
            self.out.print(f"{len(posted['facts'])} fact(s) for version {posted['version']}: {posted['job_id']}")

    def _say_end(self, posted: dict[str, Any], status: str) -> None:
        if status == "succeeded":
            self.out.print(f"[green]Live[/] in version {posted['version']} of {posted['namespace']}.")
        else:
            job = self.api.get(f"/jobs/{posted['job_id']}")
            self.out.print(f"[red]{status}[/]: {escape(str(job['error'] or 'no reason given'))}")

    def _json(self, found: dict[str, Any]) -> bool:
        if self.as_json:
            print(json.dumps(found, ensure_ascii=False))
        return self.as_json


def _mean(score: dict[str, Any]) -> str:
    """Of the directions that have probes."""
    found = [score[direction] for direction in ("forward", "backward") if score[direction] is not None]
    return f"{sum(found) / len(found):.2f}" if found else "-"


def _how_far(job: dict[str, Any]) -> str:
    if job["error"]:
        return str(job["error"])
    if job["progress"] and job["status"] not in ENDED:
        return progress_words(job["progress"])
    return ""
