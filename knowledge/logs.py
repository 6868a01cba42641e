"""Structured logs: one JSON object a line on standard output."""

import structlog


def configure() -> None:
    """For the start of a process. Bind `job_id`, `namespace` and `version` with `structlog.contextvars`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(),
    )
