"""Traces: what became of a post, hop by hop, across processes (OpenTelemetry, W3C trace context).

Off unless `ENGRAIN_TRACE_ENDPOINT` or `ENGRAIN_TRACE_FILE` is set: a span is then OpenTelemetry's own no-op, and no SDK
is imported. A job's row keeps the context of the post that made it, so that hours later a worker, and the first answer
from the version, still belong to the post's trace.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from knowledge.settings import Settings

HEADER = "traceparent"
"""Name of the W3C header that carries a trace's context, in HTTP and in the broker's messages."""

PREFIX = "engrain."
"""In front of the names of our spans' attributes."""

Value = str | int | float | bool | None

_TRACER = trace.get_tracer("engrain")
_CONTEXT = TraceContextTextMapPropagator()


def configure(settings: Settings, part: str) -> None:
    """For the start of a process, `part` being its role: `service` or `worker`. Does nothing when tracing is off."""
    if not is_on(settings):
        return
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"engrain-{part}"}))
    if settings.trace_file:
        path = Path(settings.trace_file)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ConsoleSpanExporter(out=path.open("a"), formatter=lambda span: span.to_json(indent=None) + "\n")
        provider.add_span_processor(SimpleSpanProcessor(lines))
    if settings.trace_endpoint:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(settings.trace_endpoint)))
    trace.set_tracer_provider(provider)


def is_on(settings: Settings) -> bool:
    """Whether these settings ask for traces."""
    return bool(settings.trace_endpoint or settings.trace_file)


@contextmanager
def span(
    name: str, *, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: Value
) -> Iterator[None]:
    """One hop, for as long as the block (or the decorated function) takes; an exception is noted on it.

    Below the current span of this thread or task, or below `parent`, a context from elsewhere.
    """
    context = _from(parent) if parent else None
    with _TRACER.start_as_current_span(name, context, kind, attributes=_named(attributes)):
        yield


def record(name: str, began: int, ended: int, *, parent: str | None = None, **attributes: Value) -> None:
    """A hop that is over, with its times in nanoseconds since 1970.

    Below a `parent` from elsewhere it is linked to the current span, whose work it was.
    """
    here = trace.get_current_span().get_span_context()
    links = [Link(here)] if parent and here.is_valid else []
    context = _from(parent) if parent else None
    _TRACER.start_span(name, context, attributes=_named(attributes), links=links, start_time=began).end(ended)


def note(**attributes: Value) -> None:
    """Adds to the current span what was not known at its start."""
    trace.get_current_span().set_attributes(_named(attributes))


def rename(name: str) -> None:
    """Gives the current span the name that was not known at its start."""
    trace.get_current_span().update_name(name)


def here() -> str | None:
    """The current span's context, for another process or a later time. None outside traces."""
    carrier: dict[str, str] = {}
    _CONTEXT.inject(carrier)
    return carrier.get(HEADER)


def trace_id() -> str | None:
    """The current trace's id, as logs and trace viewers spell it. None outside traces."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def _from(parent: str) -> Context:
    return _CONTEXT.extract({HEADER: parent})


def _named(attributes: Mapping[str, Value]) -> dict[str, str | int | float | bool]:
    return {f"{PREFIX}{name}": value for name, value in attributes.items() if value is not None}
