"""Request and response shapes of the HTTP contract; to and from the domain."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)
from pydantic.config import JsonDict

from inference.answer import Answer
from knowledge.facts import BLANK_CHARACTERS, NAMESPACE_PATTERN, Document, Fact, OnConflict
from knowledge.jobs import Job, Progress
from knowledge.probes import Direction, Probe, ProbeOrigin, ProbeResult
from knowledge.store.facts import DEFAULT_NAMESPACE, FactEvent, Posted
from knowledge.store.forgetting import Forgetting, Mark
from knowledge.store.scores import Harm
from service.problems import Problem
from service.provenance import LikelyFact

_NO_NUL = r"^[^\x00]*$"

NamespaceName = Annotated[str, StringConstraints(pattern=NAMESPACE_PATTERN)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=_NO_NUL)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_NO_NUL)]
MOST_VERSION = 2**31 - 1
ID_PATTERN = r"^[a-z]{1,20}_[0-9a-z]{1,40}$"
TEXT_PATTERN = rf"^[^\x00]*[^{BLANK_CHARACTERS}][^\x00]*$"
"""Says in the OpenAPI text what `knowledge.facts.passages` checks: no NUL, and something to see."""
Question = Annotated[str, StringConstraints(pattern=r"\S")]


def schema_of(model: type[BaseModel]) -> dict[str, str]:
    """Refers to a model that `service.openapi` adds to the OpenAPI text."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


class Request(BaseModel):
    """Unknown fields are refused, so that a typing mistake is not silently ignored."""

    model_config = ConfigDict(extra="forbid", strict=False)


def _written_out(moment: object) -> object:
    """Pydantic would take a number for seconds since 1970, or for milliseconds."""
    if isinstance(moment, str | datetime | None) and not str(moment).lstrip("+-").replace(".", "").isdigit():
        return moment
    raise ValueError("write the moment as RFC 3339 does: 2030-01-31T12:00:00Z")


def _in_utc(moment: datetime) -> datetime:
    """A moment without a zone is taken as UTC. One at the end of time may not exist there."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("this moment is out of range in UTC") from error


Moment = Annotated[datetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]


class ProbeIn(Request):
    """A question that proves the fact, with its answer."""

    question: ShortText
    answer: ShortText
    direction: Direction = Direction.FORWARD


class DocumentIn(Request):
    """One document. Long texts are cut into passages; each passage becomes a fact."""

    text: str = Field(
        examples=["Mirelle Oquendo is the founder of the lunar bakery Crater & Crust."],
        json_schema_extra={"pattern": TEXT_PATTERN},
    )
    title: ShortText | None = None
    source: ShortText | None = Field(None, description="Where the text comes from, for example a URL.")
    key: Key | None = Field(None, description="Identity over time: a later document with this key supersedes it.")
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    expires_at: Moment | None = Field(None, description="When to forget it.")
    probes: list[ProbeIn] = Field(default_factory=list, max_length=50)
    on_conflict: OnConflict | None = Field(
        None,
        description="What to do when a known fact says otherwise: `reject` the request (so it is without this field,"
        " except that a `key` supersedes its former document), let this one `supersede` it, or `keep_both`.",
    )

    def to_domain(self) -> Document:
        """The domain form."""
        return Document(
            text=self.text,
            title=self.title,
            source=self.source,
            key=self.key,
            metadata=dict(self.metadata),
            expires_at=self.expires_at,
            on_conflict=self.on_conflict,
            probes=tuple(
                Probe(probe.question, probe.answer, probe.direction, ProbeOrigin.CLIENT) for probe in self.probes
            ),
        )


class FactsIn(Request):
    """Many documents for one namespace."""

    documents: list[DocumentIn] = Field(min_length=1)
    namespace: NamespaceName = DEFAULT_NAMESPACE
    on_conflict: OnConflict | None = Field(None, description="For the documents that do not say it themselves.")

    def to_domain(self) -> list[Document]:
        """The domain form."""
        found = [document.to_domain() for document in self.documents]
        return [replace(each, on_conflict=each.on_conflict or self.on_conflict) for each in found]


class OneFactIn(DocumentIn):
    """One document, its fields at the top level."""

    namespace: NamespaceName = DEFAULT_NAMESPACE


class PostedFactOut(BaseModel):
    """One passage of the request."""

    id: str
    status: str
    duplicate_of: str | None = Field(description="The fact that held this passage already.")


class PostedOut(BaseModel):
    """What a post came to."""

    job_id: str | None
    namespace: str
    version: int | None = Field(description="The version that will hold the facts: pass it to /ask as `min_version`.")
    facts: list[PostedFactOut]

    @classmethod
    def of(cls, posted: Posted) -> Self:
        """From the store's answer."""
        facts = [PostedFactOut(id=fact.id, status=fact.status, duplicate_of=fact.duplicate_of) for fact in posted.facts]
        return cls(job_id=posted.job_id, namespace=posted.namespace, version=posted.version, facts=facts)


class FactOut(BaseModel):
    """A fact without its history."""

    id: str
    namespace: str
    text: str = Field(description="Empty once it is forgotten.")
    title: str | None
    source: str | None
    key: str | None
    metadata: dict[str, JsonValue]
    status: str
    job_id: str | None
    version: int | None = Field(description="The first version that held it.")
    created_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """From the domain."""
        return cls.model_validate({name: getattr(fact, name) for name in FactOut.model_fields})


class ProbeResultOut(BaseModel):
    """What a version answered to a probe, asked through the live server."""

    version: int
    answered: str
    score: float
    passed: bool


class ProbeOut(BaseModel):
    """A probe with its results, oldest first."""

    question: str
    answer: str
    direction: str
    origin: str
    results: list[ProbeResultOut]


class FactEventOut(BaseModel):
    """One status change."""

    status: str
    job_id: str | None
    at: datetime


class ScoresOut(BaseModel):
    """Mean score by direction at the newest version that was probed, 0..1."""

    forward: float | None
    backward: float | None


class MarkOut(BaseModel):
    """How one probe of a forgotten fact went; what was asked and answered is erased."""

    direction: str
    score: float
    passed: bool

    @classmethod
    def of(cls, mark: Mark) -> Self:
        """From the store's answer."""
        return cls(direction=mark.direction, score=mark.score, passed=mark.passed)


class ForgettingOut(BaseModel):
    """The record of forgetting a fact."""

    content_hash: str = Field(
        description="SHA-256 of the namespace, a line feed, and the text in NFC with single spaces: tells who has the"
        " text what was forgotten."
    )
    caller: str = Field(description="Who asked: as in the audit trail.")
    key_id: str | None
    requested_at: datetime
    done_at: datetime | None = Field(description="Null while a version without it is being made.")
    job_id: str | None = Field(description="The job that makes it. Null when nothing had to be trained.")
    version_before: int | None = Field(description="The live version at the request, if it had seen the fact.")
    version_after: int | None = Field(description="The live version when it was done. Null for the base model.")
    before: list[MarkOut] = Field(description="Its probes, when they were last asked.")
    after: list[MarkOut] = Field(description="Its probes, asked of `version_after`.")

    @classmethod
    def of(cls, record: Forgetting) -> Self:
        """From the store's answer."""
        lists = {
            "before": [MarkOut.of(mark) for mark in record.before],
            "after": [MarkOut.of(mark) for mark in record.after],
        }
        return cls(**{name: getattr(record, name) for name in ForgettingOut.model_fields if name not in lists}, **lists)


class ForgottenOut(BaseModel):
    """What a request to forget came to."""

    id: str
    namespace: str
    status: str = Field(description="`forgotten` when it is done; until then what it was.")
    job_id: str | None
    forgotten: ForgettingOut

    @classmethod
    def of(cls, record: Forgetting) -> Self:
        """From the store's answer."""
        return cls(
            id=record.fact_id,
            namespace=record.namespace,
            status=record.status,
            job_id=record.job_id,
            forgotten=ForgettingOut.of(record),
        )


class HarmOut(BaseModel):
    """A version that does not know the fact, although the one asked last before it did."""

    version: int
    job_id: str

    @classmethod
    def of(cls, harm: Harm) -> Self:
        """From the store's answer."""
        return cls(version=harm.version, job_id=harm.job_id)


class FactDetailOut(FactOut):
    """A fact with its probes and history."""

    scores: ScoresOut
    probes: list[ProbeOut]
    history: list[FactEventOut]
    harmed_by: list[HarmOut] = Field(description="The versions that lost it, oldest first, with their jobs.")
    forgotten: ForgettingOut | None = Field(description="Since someone asked to forget it.")

    @classmethod
    def detailed(
        cls,
        fact: Fact,
        results: list[tuple[int, ProbeResult]],
        history: list[FactEvent],
        harms: list[Harm],
        forgotten: Forgetting | None = None,
    ) -> Self:
        """From the domain."""
        newest = max((version for version, _ in results), default=None)
        scores = {
            direction: [
                result.score for version, result in results if version == newest and result.probe.direction == direction
            ]
            for direction in Direction
        }
        return cls(
            **FactOut.of(fact).model_dump(),
            scores=ScoresOut(
                **{direction.value: sum(found) / len(found) if found else None for direction, found in scores.items()}
            ),
            probes=[
                ProbeOut(
                    question=probe.question,
                    answer=probe.answer,
                    direction=probe.direction,
                    origin=probe.origin,
                    results=[
                        ProbeResultOut(
                            version=version, answered=result.answered, score=result.score, passed=result.passed
                        )
                        for version, result in results
                        if result.probe == probe
                    ],
                )
                for probe in fact.probes
            ],
            history=[FactEventOut(status=event.status, job_id=event.job_id, at=event.at) for event in history],
            harmed_by=[HarmOut.of(harm) for harm in harms],
            forgotten=ForgettingOut.of(forgotten) if forgotten else None,
        )


class FactsOut(BaseModel):
    """A page of facts, oldest first."""

    facts: list[FactOut]
    next: str | None = Field(description="Pass it as `after` for the next page.")


class ProgressOut(BaseModel):
    """How far the running attempt is."""

    step: int
    steps: int
    loss: float
    tokens: int
    tokens_per_second: float
    percent: float
    eta_seconds: float
    probes_passed: int
    probes: int

    @classmethod
    def of(cls, progress: Progress) -> Self:
        """From the domain."""
        return cls.model_validate(progress.__dict__)


class JobOut(BaseModel):
    """A job."""

    id: str
    namespace: str
    version: int
    status: str
    attempts: int
    facts: list[str]
    progress: ProgressOut | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    forgets: list[str] = Field(description="Facts that someone asked to forget: its version is built without them.")

    @classmethod
    def of(cls, job: Job) -> Self:
        """From the domain."""
        lists = {"facts": list(job.fact_ids), "forgets": list(job.forget_ids)}
        return cls(
            **{name: getattr(job, name) for name in JobOut.model_fields if name not in (*lists, "progress")},
            **lists,
            progress=ProgressOut.of(job.progress) if job.progress else None,
        )


class JobsOut(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobOut]


_ASK_RULES: JsonDict = {
    "oneOf": [
        {"required": ["question"], "properties": {"question": {"type": "string"}, "questions": {"maxItems": 0}}},
        {
            "required": ["questions"],
            "properties": {"question": {"type": "null"}, "questions": {"minItems": 1}, "stream": {"const": False}},
        },
    ],
    "not": {
        "required": ["version", "min_version"],
        "properties": {"version": {"type": "integer"}, "min_version": {"type": "integer"}},
    },
}
"""What the validators below check, in the OpenAPI text's words."""


class AskIn(Request):
    """A question to a namespace's live version, or to one that is named."""

    model_config = ConfigDict(json_schema_extra=_ASK_RULES)

    question: Question | None = Field(None, examples=["Who founded Crater & Crust?"])
    questions: list[Question] = Field(default_factory=list, description="Many, instead of `question`.")
    namespace: NamespaceName = DEFAULT_NAMESPACE
    version: int | None = Field(None, ge=1, le=MOST_VERSION, description="Ask this version instead of the live one.")
    min_version: int | None = Field(
        None, ge=1, le=MOST_VERSION, description="Do not answer from an older version than this."
    )
    wait_seconds: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="How long to wait for `min_version`, in seconds."
    )
    stream: bool = False
    max_tokens: int = Field(64, ge=1, le=512, description="Longest answer in tokens.")
    lift: bool = Field(False, description="Measure how far the adapter lifted the answer above the base model.")

    @model_validator(mode="after")
    def _one_or_many(self) -> Self:
        if (self.question is None) == (not self.questions):
            raise ValueError("give `question` or `questions`, one of them")
        if self.question is not None and not self.question.strip():
            raise ValueError("the question is empty")
        if self.stream and self.questions:
            raise ValueError("`stream` takes one `question`")
        return self

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        if self.version is not None and self.min_version is not None:
            raise ValueError("give `version` or `min_version`, not both")
        return self


class LikelyFactOut(BaseModel):
    """A fact that the answer likely comes from; `score` is its lexical relevance, 0..1."""

    id: str
    score: float


class UsageOut(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int


class TimingsOut(BaseModel):
    """Seconds waited for `min_version`, and for the model."""

    wait_seconds: float
    answer_seconds: float


class AnswerOut(BaseModel):
    """An answer, always with the version it came from."""

    answer: str
    namespace: str
    version: int | None = Field(description="None when the base model answered: nothing is live yet.")
    adapter: str | None
    source: Literal["weights", "pending", "base"]
    facts: list[LikelyFactOut]
    lift: float | None = Field(
        description="Mean log-probability of the answer's first tokens under the adapter minus under the base model, in"
        " nats: near 0, the base model would have said it too. None when not asked for, or when no adapter spoke."
    )
    abstained: bool = Field(description="The lift was below `ENGRAIN_LEAST_LIFT`: `answer` says so and nothing else.")
    usage: UsageOut
    timings: TimingsOut

    @classmethod
    def of(cls, answer: Answer, facts: list[LikelyFact], waited: float) -> Self:
        """From the domain."""
        return cls(
            answer=answer.text,
            namespace=answer.namespace,
            version=answer.version,
            adapter=answer.adapter,
            source=answer.source,
            facts=[LikelyFactOut(id=fact.id, score=fact.score) for fact in facts],
            lift=None if answer.lift is None else round(answer.lift, 3),
            abstained=answer.abstained,
            usage=UsageOut(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens),
            timings=TimingsOut(wait_seconds=round(waited, 3), answer_seconds=round(answer.seconds, 3)),
        )


class AnswersOut(BaseModel):
    """The answers to `questions`, in their order; a problem (it has a `code`) in the place of one that failed."""

    answers: list[AnswerOut | Problem]
