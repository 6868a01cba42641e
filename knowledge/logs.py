"""Structured logs: one JSON object a line on standard output, with no secret in it."""

import re

import structlog
from structlog.typing import EventDict, WrappedLogger

from knowledge.keys import SECRET_PREFIX

_SECRETS = re.compile(
    rf"{SECRET_PREFIX}[A-Za-z0-9_-]{{16,}}|(?<=://)[^/@\s:]*:[^/@\s]+(?=@)|(?i:(?<=bearer ))[^\s\"']+"
)


def configure() -> None:
    """For the start of a process. Bind `job_id`, `namespace` and `version` with `structlog.contextvars`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
            without_secrets,
        ],
        logger_factory=structlog.PrintLoggerFactory(),
    )


def without_secrets(_logger: WrappedLogger, _method: str, line: EventDict | str) -> str:
    """The line with keys and the passwords of URLs hidden, should an error's text ever hold one."""
    return _SECRETS.sub("***", str(line))
