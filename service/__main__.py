"""`python -m service`: serves the API on the address of the settings."""

import sys

import uvicorn

from knowledge import tracing
from knowledge.errors import EngrainError
from knowledge.logs import configure
from knowledge.settings import Settings
from service.app import create_app

if __name__ == "__main__":
    configure()
    try:
        settings = Settings.read()
        tracing.configure(settings, "service")
    except EngrainError as error:
        sys.exit(f"engrain: {error}")
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        timeout_graceful_shutdown=10,
        proxy_headers=False,  # who is on this machine is told by the peer's address, not by a header
    )
