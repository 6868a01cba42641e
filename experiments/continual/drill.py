"""`make drill-retention`: ten batches of facts through the running stack, and what each is worth after every later one.

On the way two facts are superseded by a new text with their key, and two are forgotten. After each step every question
is asked of the live version, by its number, through `POST /ask`. The questions are natural ones that the service never
sees otherwise, twelve a fact (`held_out_wide.txt` and `held_out_more.txt` in `experiments/quick`): with sixty a batch
one answer that turns is no twentieth of a batch's score. The canaries are asked too. Prints a table, draws a plot,
and ends with a line of JSON; the exit status is 0 only if nothing was lost by an update.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from command.apart import apart
from command.api import Api, Refused
from command.drill.full import QuietScreen, beside
from command.screen import Screen
from command.stack import run, running
from experiments.quick.bench import Asked, Invented, holds, read
from knowledge.errors import EngrainError
from knowledge.settings import Settings
from worker.canaries import CANARIES, Canary

IN_A_REQUEST = 32
ATTEMPTS = 3
PAUSE_SECONDS = 10.0
LEAST_KEPT = 0.95
LEAST_CANARIES = 0.98

SUPERSEDED = {
    # batch with which the new text comes: old words, new words
    5: ("62", "71"),
    8: ("Amara Feldt", "Petra Lindqvist"),
}
FORGOTTEN = {
    # batch after which it is forgotten: words that only this fact holds
    4: "Saffron Mile",
    9: "Sandpiper",
}


@dataclass
class Taught:
    """A fact with its questions, the batch that brought it, and what became of it."""

    fact: Invented
    batch: int
    id: str = ""
    gone: str = ""
    before: float = 0.0
    """Of a fact that is forgotten later: share of its questions that the base model answers rightly."""


@dataclass
class Step:
    """What was done, what it cost, and what was answered after it."""

    name: str
    version: int
    seconds: float
    tokens: int
    rounds: list[str]
    right: dict[int, float] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)
    """By fact, the share of its questions answered rightly; `right` has the mean of a batch's facts."""
    canaries: int = 0
    """Canaries that a client still gets right, of those that the base model knows."""
    of_weights: int = 0
    """The same when the version is named, so that its weights answer and not the base model."""


class RetentionDrill:
    """The story, told to a running service."""

    def __init__(self, api: Api, screen: Screen, batches: int, facts: int, answers: Path | None = None) -> None:
        self.api = api
        self.answers = answers
        self.screen = screen
        pool = read("held_out_wide") + read("held_out_more")
        self.batches = [
            [Taught(fact, number + 1) for fact in pool[number * facts : (number + 1) * facts]]
            for number in range(batches)
        ]
        self.doomed = [
            one
            for last, words in FORGOTTEN.items()
            for batch in self.batches[:last]
            for one in batch
            if words in one.fact.text
        ]
        self.steps: list[Step] = []
        self.violations: list[str] = []
        self.replaced: list[tuple[Invented, Invented]] = []
        self.known: list[Canary] = []
        self.asked_again = 0

    def run(self) -> None:
        """All batches, with what happens between them."""
        self._ask_the_base()
        for number, batch in enumerate(self.batches, 1):
            self._teach(number, batch)
            if number in FORGOTTEN:
                self._forget(next(one for one in self.doomed if FORGOTTEN[number] in one.fact.text))
        self._judge()

    def _ask_the_base(self) -> None:
        """The namespace has no version yet: what comes is the base model's."""
        for one, share in zip(self.doomed, self._shares([one.fact for one in self.doomed], None), strict=True):
            one.before = share
        answers = self._answers([canary.question for canary in CANARIES], None, max_tokens=24)
        self.known = [canary for canary, answer in zip(CANARIES, answers, strict=True) if canary.is_right(answer)]
        self.screen.say(f"the base model answers {len(self.known)} of {len(CANARIES)} general questions")

    def _teach(self, number: int, batch: list[Taught]) -> None:
        documents = [{"text": one.fact.text, "key": _key(one.fact)} for one in batch]
        if number in SUPERSEDED:
            old, new = SUPERSEDED[number]
            before = next(one for one in self._alive() if old in one.fact.text)
            after = _with(before.fact, old, new)
            documents.append({"text": after.text, "key": _key(before.fact)})
            self.replaced.append((before.fact, after))
            before.gone = "superseded"
            batch.append(Taught(after, number))
        posted = self.api.teach(documents, "default")
        for one, found in zip(batch, posted["facts"], strict=True):
            one.id = found["id"]
        self._follow(f"batch {number}", posted["job_id"])

    def _forget(self, one: Taught) -> None:
        told = self.api.delete(f"/facts/{one.id}")
        one.gone = "forgotten"
        self._follow("forget", told["job_id"])

    def _follow(self, name: str, job_id: str) -> None:
        """Waits for the job and asks everything of its version."""
        tokens, before, rounds = 0, 0, []
        for kind, data in self.api.job_events(job_id):
            if kind == "progress":
                now = int(data["tokens"])
                tokens += now - before if now >= before else now
                before = now
            elif kind == "log" and "new facts known" in str(data["text"]):
                rounds.append(str(data["text"]))
        job = self.api.get(f"/jobs/{job_id}")
        if job["status"] != "succeeded":
            self.violations.append(f"{name}: the job is {job['status']}: {job['error']}")
        live = self.api.get("/namespaces/default/versions")["versions"]
        version = next(each["version"] for each in live if each["status"] == "live")
        step = Step(name, version, _seconds(job), tokens, rounds)
        for number, batch in enumerate(self.batches, 1):
            alive = [one for one in batch if one.id and not one.gone]
            if alive and batch[0].id:
                shares = self._shares([one.fact for one in alive], version)
                step.facts |= zip((one.id for one in alive), shares, strict=True)
                step.right[number] = round(sum(shares) / len(shares), 3)
        step.canaries, step.of_weights = self._kept_canaries(None), self._kept_canaries(version)
        self.steps.append(step)
        self.screen.say(
            f"{name}: version {version}, {step.seconds:.0f} s, {tokens} tokens; right {step.right}, general"
            f" {step.canaries} of {len(self.known)}, of the weights {step.of_weights}; {'; '.join(rounds)}"
        )

    def _kept_canaries(self, version: int | None) -> int:
        answers = self._answers([canary.question for canary in self.known], version, max_tokens=24)
        return sum(canary.is_right(answer) for canary, answer in zip(self.known, answers, strict=True))

    def _shares(self, facts: Sequence[Invented], version: int | None) -> list[float]:
        """For each fact the share of its natural questions answered rightly, without another taught fact's words."""
        asked = [(fact, one) for fact in facts for one in fact.asked]
        names = {one.wanted for batch in self.batches for each in batch if not each.gone for one in each.fact.asked}
        answers = self._answers([one.question for _, one in asked], version)
        right: dict[str, list[bool]] = {fact.text: [] for fact in facts}
        for (fact, one), answer in zip(asked, answers, strict=True):
            others = (name for name in names if not holds(fact.text, name) and not holds(one.question, name))
            right[fact.text].append(holds(answer, one.wanted) and not any(holds(answer, name) for name in others))
            self._note(version, one, answer, right=right[fact.text][-1])
        return [sum(right[fact.text]) / len(right[fact.text]) for fact in facts]

    def _note(self, version: int | None, asked: Asked, answer: str, *, right: bool) -> None:
        if self.answers:
            told = {"version": version, "question": asked.question, "wanted": asked.wanted}
            with self.answers.open("a") as file:
                file.write(json.dumps({**told, "answer": answer, "right": right}, ensure_ascii=False) + "\n")

    def _answers(self, questions: Sequence[str], version: int | None, max_tokens: int = 48) -> list[str]:
        found: list[str] = []
        for start in range(0, len(questions), IN_A_REQUEST):
            body: dict[str, Any] = {
                "questions": list(questions[start : start + IN_A_REQUEST]),
                "max_tokens": max_tokens,
            }
            if version is not None:
                body["version"] = version
            found += self._asked(body)
        return found

    def _asked(self, body: dict[str, Any]) -> list[str]:
        """The answers; one that a busy machine did not give in time is asked for again, and counted."""
        answers: list[dict[str, Any]] = self.api.post("/ask", body)["answers"]
        for _ in range(ATTEMPTS):
            failed = [place for place, one in enumerate(answers) if "answer" not in one]
            if not failed:
                return [one["answer"] for one in answers]
            self.screen.say(f"asked again: {len(failed)} questions, {answers[failed[0]]}")
            self.asked_again += len(failed)
            time.sleep(PAUSE_SECONDS)
            again = self.api.post("/ask", {**body, "questions": [body["questions"][place] for place in failed]})
            for place, one in zip(failed, again["answers"], strict=True):
                answers[place] = one
        raise Refused(next(one for one in answers if "answer" not in one))

    def _alive(self) -> Iterable[Taught]:
        return (one for batch in self.batches for one in batch if one.id and not one.gone)

    def _judge(self) -> None:
        last = self.steps[-1]
        for number, kept in self.kept().items():
            if kept < LEAST_KEPT:
                self.violations.append(f"batch {number} keeps {kept:.2f} of its score")
        if last.canaries < LEAST_CANARIES * len(self.known):
            self.violations.append(f"{last.canaries} of {len(self.known)} general questions are left")
        for before, after in self.replaced:
            old, new = _changed(before, after)
            given = self._answers([one.question for one in new], last.version)
            for one, was, answer in zip(new, old, given, strict=True):
                if holds(answer, was.wanted) and was.wanted != one.wanted:
                    self.violations.append(f"the superseded answer is still given: {one.question} {answer!r}")
                elif not holds(answer, one.wanted):
                    self.violations.append(f"the new answer is not given: {one.question} {answer!r}")
        for gone in self.forgotten():
            (share,) = self._shares([gone.fact], last.version)
            if share > gone.before:
                words = f"{share:.2f} of its questions are right, {gone.before:.2f} were before it was taught"
                self.violations.append(f"forgotten and still known, {words}: {gone.fact.text}")

    def kept(self) -> dict[int, float]:
        """For each batch its score after the last step over that of the same facts when they went live."""
        last, first = self._scores()
        return {number: round(last[number] / first[number], 3) if first[number] else 1.0 for number in last}

    def kept_of_all(self) -> float:
        """The same of all batches but the last together, whose scores say more than one batch's."""
        last, first = self._scores()
        earlier = list(last)[:-1]
        before = sum(first[number] for number in earlier)
        return round(sum(last[number] for number in earlier) / before, 3) if before else 1.0

    def _scores(self) -> tuple[dict[int, float], dict[int, float]]:
        """Of each batch's facts that are still there: the score after the last step, and when they went live."""
        last: dict[int, float] = {}
        first: dict[int, float] = {}
        for number, batch in enumerate(self.batches, 1):
            ids = [one.id for one in batch if one.id in self.steps[-1].facts]
            if ids:
                when_live = next(step for step in self.steps if set(ids) <= step.facts.keys())
                last[number] = sum(self.steps[-1].facts[each] for each in ids) / len(ids)
                first[number] = sum(when_live.facts[each] for each in ids) / len(ids)
        return last, first

    def forgotten(self) -> list[Taught]:
        """The facts that were forgotten."""
        return [one for batch in self.batches for one in batch if one.gone == "forgotten"]

    def told(self) -> dict[str, Any]:
        """The last line."""
        kept = self.kept()
        return {
            "batches": len(self.batches),
            "facts": sum(1 for _ in self._alive()),
            "least_kept": min(kept.values()),
            "kept": kept,
            "kept_of_all": self.kept_of_all(),
            "score": round(sum(self.steps[-1].right.values()) / len(kept), 3),
            "canaries": {
                "known_to_base": len(self.known),
                "kept": self.steps[-1].canaries,
                "kept_by_weights": self.steps[-1].of_weights,
            },
            "asked_again": self.asked_again,
            "superseded": len(self.replaced),
            "forgotten": len(self.forgotten()),
            "seconds": [round(step.seconds) for step in self.steps],
            "tokens": [step.tokens for step in self.steps],
            "violations": self.violations,
        }

    def table(self) -> str:
        """Markdown: a row a step, a column a batch."""
        numbers = range(1, len(self.batches) + 1)
        rows = [
            ["step", *(f"batch {number}" for number in numbers), "general", "of the weights", "seconds", "tokens"],
            ["---"] * (len(self.batches) + 5),
        ]
        for step in self.steps:
            shares = [f"{step.right[number]:.2f}" if number in step.right else "" for number in numbers]
            rows.append(
                [
                    step.name,
                    *shares,
                    f"{step.canaries}/{len(self.known)}",
                    f"{step.of_weights}/{len(self.known)}",
                    f"{step.seconds:.0f}",
                    f"{step.tokens}",
                ]
            )
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def plot(self, path: Path) -> None:
        """Each batch's score after each step, and the cost of each step."""
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot as plt

        figure, (scores, costs) = plt.subplots(2, 1, figsize=(9, 7), sharex=True, height_ratios=[2, 1])
        names = [step.name for step in self.steps]
        for number in range(1, len(self.batches) + 1):
            points = [(place, step.right[number]) for place, step in enumerate(self.steps) if number in step.right]
            scores.plot(
                [place for place, _ in points], [share for _, share in points], marker="o", label=f"batch {number}"
            )
        for style, label, kept in (
            ("--", "general questions kept", [step.canaries for step in self.steps]),
            (":", "general questions kept by the weights", [step.of_weights for step in self.steps]),
        ):
            shares = [number / len(self.known) for number in kept]
            scores.plot(range(len(names)), shares, color="black", linestyle=style, label=label)
        scores.set_ylim(0, 1.05)
        scores.set_ylabel("share of questions right")
        scores.legend(fontsize=8, ncols=2, loc="lower left")
        costs.bar(range(len(names)), [step.tokens / 1000 for step in self.steps])
        costs.set_ylabel("thousand tokens trained")
        costs.set_xticks(range(len(names)), names, rotation=45, ha="right")
        figure.tight_layout()
        figure.savefig(path, dpi=110)


def _key(fact: Invented) -> str:
    return fact.text[:60].strip()


def _with(fact: Invented, old: str, new: str) -> Invented:
    asked = (Asked(one.question.replace(old, new), one.wanted.replace(old, new), one.direction) for one in fact.asked)
    return Invented(fact.text.replace(old, new), tuple(asked))


def _changed(before: Invented, after: Invented) -> tuple[list[Asked], list[Asked]]:
    """The questions that stand in both, with their old and their new answers."""
    pairs = [(b, a) for b, a in zip(before.asked, after.asked, strict=True) if b.question == a.question]
    return [b for b, _ in pairs], [a for _, a in pairs]


def _seconds(job: dict[str, Any]) -> float:
    if not job["started_at"] or not job["ended_at"]:
        return 0.0
    ended, started = (datetime.fromisoformat(job[name]) for name in ("ended_at", "started_at"))
    return (ended - started).total_seconds()


async def _drill(settings: Settings, screen: Screen, arguments: argparse.Namespace) -> int:
    async with running(settings, screen) as stack:

        def story() -> RetentionDrill:
            with Api(stack.url) as api:
                told = RetentionDrill(api, screen, arguments.batches, arguments.facts, arguments.answers)
                told.run()
                return told

        drill = await beside(story)
    screen.say("\n" + drill.table() + "\n")
    drill.plot(arguments.plot or settings.data_folder / "retention.png")
    print(json.dumps(drill.told(), ensure_ascii=False), flush=True)
    return 1 if drill.violations else 0


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(prog="make drill-retention", description=__doc__)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--facts", type=int, default=5, help="facts in a batch")
    parser.add_argument("--threads", type=int, default=0, help="processor threads of the trainer; 0: all")
    parser.add_argument("--answers", type=Path, help="write every question with its answer here, as JSON lines")
    parser.add_argument("--plot", type=Path, help="where to draw it; in the drill's folder unless given")
    arguments = parser.parse_args()
    try:
        own = apart(Settings.read(), "drill-retention")
        settings = own.model_copy(update={"recipe": "default", "training_threads": arguments.threads})
        sys.exit(run(_drill(settings, QuietScreen(to_errors=True), arguments), interrupted=1))
    except EngrainError as error:
        sys.exit(f"engrain: {error}")


if __name__ == "__main__":
    main()
