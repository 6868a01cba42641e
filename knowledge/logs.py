"""Structured logs: one JSON object a line on standard output, with no secret in it."""

import re

import structlog
from structlog.typing import EventDict, WrappedLogger

from knowledge import tracing
from knowledge.keys import SECRET_PREFIX

_SECRETS = re.compile(
    rf"{SECRET_PREFIX}[A-Za-z0-9_-]{{16,}}|(?<=://)[^/@\s:]*:[^/@\s]+(?=@)|(?i:(?<=bearer ))[^\s\"']+"
)


def configure() -> None:
    """For the start of a process. Bind `job_id`, `namespace` and `version` with `structlog.contextvars`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            with_trace,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
            without_secrets,
        ],
        logger_factory=structlog.PrintLoggerFactory(),
    )


def with_trace(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """The line with the current trace's id, if there is one."""
    if (trace_id := tracing.trace_id()) is not None:
        line["trace_id"] = trace_id
    return line


def without_secrets(_logger: WrappedLogger, _method: str, line: EventDict | str) -> str:
    """The line with keys and the passwords of URLs hidden, should an error's text ever hold one."""
    return _SECRETS.sub("***", str(line))
