"""Where this machine reaches the API."""

from knowledge.settings import Settings

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def api_url(settings: Settings) -> str:
    """The API's URL; one that listens on every address is asked on loopback."""
    host = _WILDCARDS.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
