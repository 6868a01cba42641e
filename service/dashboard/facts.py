"""Facts: found, taught from pasted text or dropped files, given another text, forgotten; and one of them in full."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Path, Query, UploadFile
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from knowledge.errors import EngrainError, InvalidFact
from knowledge.facts import Document, Fact, FactStatus, OnConflict
from knowledge.keys import Scope
from knowledge.probes import Direction, Probe, ProbeResult
from knowledge.store import facts as store
from knowledge.store import forgetting, jobs, probes
from knowledge.store.facts import DEFAULT_NAMESPACE, Posted
from service.dashboard.visit import AnyNamespace, Visit, Visits
from service.gate import needs
from service.problems import Problem, from_error, from_validation
from service.routes import facts as routes
from service.routes.facts import decode, read_lines, teach
from service.schemas import ID_PATTERN, MOST_VERSION

router = APIRouter(prefix="/facts")

PAGE = 50
SHOWN_VERSIONS = 8
JSON_LINES = (".jsonl", ".ndjson")

FactId = Annotated[str, Path(pattern=ID_PATTERN)]
Search = Annotated[str, Query(max_length=500, pattern=r"^[^\x00]*$")]
Short = Annotated[str, Form(max_length=2000)]


@dataclass(frozen=True)
class Wanted:
    """What the list of facts is to show: the fields of its form."""

    q: str = ""
    status: str = ""
    namespace: str = ""
    version: int | None = None


@router.get("")
def get_facts(
    visit: Visits,
    q: Search = "",
    status: Annotated[str, Query(max_length=20)] = "",
    namespace: AnyNamespace = "",
    version: Annotated[int | None, Query(ge=1, le=MOST_VERSION)] = None,
    before: Annotated[str | None, Query(pattern=ID_PATTERN)] = None,
) -> HTMLResponse:
    """Facts, newest first. The form that looks for some gets the list alone."""
    wanted = Wanted(q, _status(status), namespace, version if namespace else None)
    found = _list(visit, wanted, before)
    if visit.wants_part:
        return visit.part("facts/list.html", **found)
    return _facts_page(visit, **found)


@router.post("")
async def post_facts(
    visit: Visits,
    namespace: Annotated[str, Form()] = DEFAULT_NAMESPACE,
    text: Annotated[str, Form()] = "",
    title: Short = "",
    source: Short = "",
    key: Annotated[str, Form(max_length=255)] = "",
    on_conflict: Annotated[str, Form(max_length=20)] = "",
    files: Annotated[list[UploadFile] | None, File()] = None,
) -> Response:
    """Teaches what was pasted and dropped; leads to the job that does."""
    typed = {"namespace": namespace, "text": text, "title": title, "source": source, "key": key}
    typed["on_conflict"] = on_conflict
    wanted = OnConflict(on_conflict) if on_conflict in list(OnConflict) else None

    def document(text: str, name: str = "") -> Document:
        return Document(text, title or None, source or name or None, key or None, on_conflict=wanted)

    try:
        documents = [document(text)] if text.strip() else []
        for file in files or ():
            documents += _read(file.filename or "", await file.read(), document)
        if not documents:
            raise InvalidFact("Paste a text or choose a file first.")
        posted = await teach(visit.parts, visit.namespace(namespace), documents)
    except (EngrainError, RequestValidationError) as error:
        found = await run_in_threadpool(_list, visit, Wanted(), None)
        problem = problem_of(error)
        return _facts_page(visit, problem.status, **found, problem=problem, typed=typed)
    return _taught(visit, posted)


@router.get("/{fact_id}")
def get_fact(fact_id: FactId, visit: Visits) -> HTMLResponse:
    """Its text, its history, its probes and what each version answered."""
    return _fact_page(visit, fact_id)


@router.post("/{fact_id}/supersede")
async def supersede_fact(fact_id: FactId, visit: Visits, text: Annotated[str, Form()]) -> Response:
    """Teaches another text in the fact's place."""
    parts = visit.parts
    try:
        most_waiting = parts.settings.max_waiting_facts
        posted = await run_in_threadpool(store.supersede, parts.store, fact_id, text, most_waiting=most_waiting)
    except EngrainError as error:
        problem = problem_of(error)
        return await run_in_threadpool(_fact_page, visit, fact_id, problem.status, problem=problem, typed=text)
    if posted.created and posted.job_id is not None:
        await run_in_threadpool(parts.queue.send, posted.job_id)
    return _taught(visit, posted)


@router.get("/{fact_id}/forget")
@needs(Scope.WRITE)
def confirm_forgetting(fact_id: FactId, visit: Visits) -> HTMLResponse:
    """Says what will be erased, and asks."""
    return visit.page("facts/forget.html", fact=store.get(visit.parts.store, fact_id))


@router.post("/{fact_id}/forget")
def forget_fact(fact_id: FactId, visit: Visits) -> RedirectResponse:
    """Forgets it, or asks for a version without it."""
    record = routes.forget_fact(fact_id, Response(), visit.parts)
    if record.forgotten.done_at is not None:
        return visit.go(f"/facts/{fact_id}", "The fact is forgotten.")
    return visit.go(f"/jobs/{record.job_id}", "A version without the fact will be made; then it is forgotten.")


@router.post("/{fact_id}/probes")
def post_probe(
    fact_id: FactId,
    visit: Visits,
    question: Annotated[str, Form(min_length=1, max_length=2000, pattern=r"\S")],
    answer: Annotated[str, Form(min_length=1, max_length=2000, pattern=r"\S")],
    direction: Annotated[Direction, Form()] = Direction.FORWARD,
) -> RedirectResponse:
    """Has the fact's coming versions asked one more question."""
    probes.add_probe(visit.parts.store, fact_id, Probe(question.strip(), answer.strip(), direction))
    return visit.go(f"/facts/{fact_id}", "The probe is kept: the next version will be asked it.")


def problem_of(error: EngrainError | RequestValidationError) -> Problem:
    """What a form says when it was refused."""
    if isinstance(error, RequestValidationError):
        return from_validation(error.errors()).problem
    return from_error(error).problem


def _list(visit: Visit, wanted: Wanted, before: str | None) -> dict[str, Any]:
    stored, namespace = visit.parts.store, wanted.namespace or None
    sought: dict[str, Any] = {
        "statuses": [FactStatus(wanted.status)] if wanted.status else [],
        "held_by": wanted.version,
        "matching": wanted.q.strip() or None,
    }
    found = store.find(stored, namespace, **sought, before=before, newest_first=True, limit=PAGE + 1)
    page, is_all = found[:PAGE], before is None and len(found) <= PAGE
    return {
        "facts": page,
        "number": len(page) if is_all else store.count(stored, namespace, **sought),
        "scores": probes.scores(stored, [fact.id for fact in page]),
        "wanted": wanted,
        "before": before,
        "next": page[-1].id if len(found) > PAGE else None,
    }


def _facts_page(visit: Visit, code: int = 200, **context: Any) -> HTMLResponse:
    context = {"problem": None, "typed": None, **context}
    choices = {"statuses": list(FactStatus), "names": visit.namespace_names()}
    return visit.page("facts.html", code, **choices, **context)


def _fact_page(
    visit: Visit, fact_id: str, code: int = 200, *, problem: Problem | None = None, typed: str | None = None
) -> HTMLResponse:
    parts = visit.parts
    fact = store.get(parts.store, fact_id)
    results = store.results(parts.store, fact_id)
    history = store.history(parts.store, fact_id)
    job_ids = {event.job_id for event in history if event.job_id} | ({fact.job_id} if fact.job_id else set())
    return visit.page(
        "fact.html",
        code,
        fact=fact,
        history=history,
        scores=probes.scores(parts.store, [fact_id]).get(fact_id, {}),
        asked=_by_version(fact, results),
        jobs=jobs.find(parts.store, ids=sorted(job_ids)),
        others=_same_key(visit, fact),
        problem=problem,
        typed=fact.text if typed is None else typed,
        directions=list(Direction),
        forgetting=forgetting.get(parts.store, fact_id),
        successor=store.get(parts.store, fact.superseded_by) if fact.superseded_by else None,
    )


def _by_version(
    fact: Fact, results: Sequence[tuple[int, ProbeResult]]
) -> list[tuple[Probe, list[tuple[int, ProbeResult]]]]:
    """Each probe with its newest results, newest first."""
    return [
        (probe, [each for each in reversed(results) if each[1].probe == probe][:SHOWN_VERSIONS])
        for probe in fact.probes
    ]


def _same_key(visit: Visit, fact: Fact) -> list[Fact]:
    """Other texts of the fact's key, newest first: what superseded it, and what it superseded."""
    if fact.key is None:
        return []
    found = store.find(visit.parts.store, fact.namespace, key=fact.key, newest_first=True, limit=PAGE)
    return [each for each in found if each.id != fact.id]


def _read(name: str, data: bytes, document: Callable[[str, str], Document]) -> list[Document]:
    if not name and not data:  # what a browser sends for a form without a file
        return []
    if name.lower().endswith(JSON_LINES):
        return read_lines(decode(data))
    return [document(decode(data), name)]


def _taught(visit: Visit, posted: Posted) -> RedirectResponse:
    new = sum(fact.duplicate_of is None for fact in posted.facts)
    known = len(posted.facts) - new
    if posted.job_id is None or not posted.created:
        return visit.go(f"/facts?namespace={posted.namespace}", "All of this is known already.")
    told = f"{new} new fact{'s' if new != 1 else ''} kept" + (f", {known} known already" if known else "")
    return visit.go(f"/jobs/{posted.job_id}", f"{told}. Version {posted.version} will hold them.")


def _status(status: str) -> str:
    return status if status in list(FactStatus) else ""
