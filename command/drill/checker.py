"""Reads a drill's history: what was lost, doubled, half loaded, stale, or said by another version than named."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from command.drill.history import Line

_ENDED_BADLY = {"failed", "dead", "cancelled"}
_GONE = {"superseded", "forgotten", "rejected"}


@dataclass
class Report:
    """What a history shows. Each list holds a sentence for every violation; all empty is what is wanted.

    `rolled_back` counts facts that a version held which was live and was rolled back: kept, and in no live version.
    """

    acknowledged: int = 0
    live: int = 0
    visibly_failed: int = 0
    superseded: int = 0
    rolled_back: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    operations: dict[str, int] = field(default_factory=dict)
    unanswered: int = 0
    incidents: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    half_loaded: list[str] = field(default_factory=list)
    stale_reads: list[str] = field(default_factory=list)
    wrong_version: list[str] = field(default_factory=list)
    not_healed: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """Everything that must not be."""
        return [
            *self.lost,
            *self.doubled,
            *self.half_loaded,
            *self.stale_reads,
            *self.wrong_version,
            *self.not_healed,
        ]


def check(history: Sequence[Line]) -> Report:
    """The report of a history. One without an end has lost everything."""
    report = Report()
    of_kind: defaultdict[str, list[Line]] = defaultdict(list)
    for line in history:
        of_kind[line["kind"]].append(line)
    final = of_kind["final"][-1] if of_kind["final"] else {"facts": [], "jobs": [], "versions": []}
    rolled = {line["namespace"] for line in of_kind["activate"]}
    report.kills = dict(Counter(line["part"] for line in of_kind["kill"]))
    report.steps = dict(sorted(Counter(line["step"] for line in of_kind["kill"]).items()))
    report.operations = {kind: len(of_kind[kind]) for kind in ("post", "ask", "activate")}
    report.unanswered = sum(line["status"] is None for kind in report.operations for line in of_kind[kind])
    for line in of_kind["incident"]:
        report.incidents[line["name"]] = f"{line['how']}: {line['detail']}"
        if not line["healed"]:
            report.not_healed.append(f"{line['name']} did not heal: {line['detail']}")
    _kept(report, of_kind["post"], final, rolled)
    _once(report, of_kind["post"], of_kind["seen"], final)
    _whole(report, of_kind["loaded"], final)
    _fresh(report, of_kind["ask"], of_kind["seen"], rolled)
    _named(report, of_kind["ask"], final)
    return report


def _kept(report: Report, posts: Iterable[Line], final: Line, rolled: set[str]) -> None:
    facts = {fact["id"]: fact for fact in final["facts"]}
    jobs = {job["id"]: job["status"] for job in final["jobs"]}
    holders: defaultdict[str, set[str]] = defaultdict(set)
    for version in final["versions"]:
        for fact_id in version["facts"]:
            holders[fact_id].add(version["status"])
    acknowledged = {each for post in posts if _answered(post) for each in post["facts"]}
    report.acknowledged = len(acknowledged)
    for fact_id in sorted(acknowledged):
        fact = facts.get(fact_id)
        if fact is None:
            report.lost.append(f"{fact_id} was acknowledged and is not there")
        elif fact["status"] == "live":
            if "live" in holders[fact_id]:
                report.live += 1
            else:
                report.lost.append(f"{fact_id} is said to be live and is in no live version")
        elif fact["status"] == "rejected":
            if fact["namespace"] in rolled and holders[fact_id] & {"retired", "deleted"}:
                report.rolled_back += 1
            else:
                report.lost.append(f"{fact_id} is rejected and no roll back took it away")
        elif fact["status"] == "weak":
            report.visibly_failed += 1
        elif fact["status"] in _GONE:
            report.superseded += 1
        elif jobs.get(fact["job_id"]) in _ENDED_BADLY:
            report.visibly_failed += 1
        else:
            job = f"its job {fact['job_id']} is {jobs.get(fact['job_id'], 'not there')}"
            report.lost.append(f"{fact_id} is still {fact['status']}, and {job}")


def _once(report: Report, posts: Iterable[Line], seen: Iterable[Line], final: Line) -> None:
    answers: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for post in posts:
        if _answered(post):
            answers[post["idempotency_key"]].add(tuple(post["facts"]))
    report.doubled += [f"key {key} was answered in {len(each)} ways" for key, each in answers.items() if len(each) > 1]
    texts = Counter((fact["namespace"], fact["text"]) for fact in final["facts"] if fact["status"] not in _GONE)
    report.doubled += [f"{text!r} is stored {n} times in {space}" for (space, text), n in texts.items() if n > 1]
    report.doubled += [
        f"{line['namespace']} had versions {line['live']} live at {line['ended']} s"
        for line in seen
        if len(line["live"]) > 1
    ]
    live = Counter(version["namespace"] for version in final["versions"] if version["status"] == "live")
    report.doubled += [f"{namespace} ends with {n} live versions" for namespace, n in live.items() if n > 1]


def _whole(report: Report, loaded: Iterable[Line], final: Line) -> None:
    half = {each["name"] for line in loaded for each in line["adapters"] if not each["whole"]}
    report.half_loaded += [f"{name} was loaded and is not whole" for name in sorted(half)]
    report.half_loaded += [
        f"{version['adapter']} is {version['status']} and its files are not whole"
        for version in final["versions"]
        if version["status"] in ("live", "retired") and not version["whole"]
    ]


def _fresh(report: Report, asks: Sequence[Line], seen: Iterable[Line], rolled: set[str]) -> None:
    """No read is older than its `min_version`; nor, where nobody rolled back, than what anybody had seen before it."""
    answered = [ask for ask in asks if _answered(ask) and ask["version"] is not None and ask["asked_version"] is None]
    for ask in answered:
        if ask["min_version"] is not None and ask["version"] < ask["min_version"]:
            report.stale_reads.append(
                f"asked {ask['namespace']} for at least version {ask['min_version']} and got {ask['version']}"
            )
    known: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for ask in answered:
        known[ask["namespace"]].append((ask["ended"], ask["version"]))
    for line in seen:
        known[line["namespace"]] += [(line["ended"], number) for number in line["live"]]
    for namespace in known.keys() - rolled:
        before = sorted(known[namespace])
        highest = [0]
        for _, number in before:
            highest.append(max(highest[-1], number))
        for ask in answered:
            newest = highest[bisect_left(before, (ask["began"], 0))]
            if ask["namespace"] == namespace and ask["version"] < newest:
                report.stale_reads.append(f"{namespace} answered with {ask['version']} after {newest} had been seen")


def _named(report: Report, asks: Iterable[Line], final: Line) -> None:
    adapters = {(version["namespace"], version["version"]): version["adapter"] for version in final["versions"]}
    for ask in asks:
        if not _answered(ask):
            continue
        wanted, got = ask["asked_version"], ask["version"]
        if wanted is not None and got != wanted:
            report.wrong_version.append(f"asked version {wanted} of {ask['namespace']} and {got} answered")
        elif got is not None and adapters.get((ask["namespace"], got)) != ask["adapter"]:
            report.wrong_version.append(f"{ask['adapter']} answered as version {got} of {ask['namespace']}")


def _answered(line: Line) -> bool:
    return line["status"] in (200, 202)
