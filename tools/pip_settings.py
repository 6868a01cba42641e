"""What pip is configured to do (its files and `PIP_…` variables), said to uv, which reads neither."""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping

_SECTIONS = ("global", "install", ":env:")
"""The parts of pip's configuration, weakest first."""


def pip_settings(listing: str) -> dict[str, str]:
    """Reads the output of `pip config list`: `section.name='value'` lines, the stronger section winning."""
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        name, _, quoted = line.partition("=")
        section, _, option = name.rpartition(".")
        if section not in _SECTIONS:
            continue
        rank = _SECTIONS.index(section)
        if option not in found or found[option][0] <= rank:
            found[option] = (rank, str(ast.literal_eval(quoted)))
    return {option: value for option, (_, value) in found.items()}


def uv_environment(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that make uv look where pip looks. What the user set for uv itself is left alone."""
    wanted = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": _words(settings.get("extra-index-url", "")),
        "UV_FIND_LINKS": _words(settings.get("find-links", "")),
        "UV_INSECURE_HOST": _words(settings.get("trusted-host", "")),
        "SSL_CERT_FILE": settings.get("cert", ""),
        "UV_NO_INDEX": "1" if settings.get("no-index", "") in {"1", "true", "yes", "on"} else "",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    added = {name: value for name, value in wanted.items() if value and name not in environment}
    return {**environment, **added}


def read_pip_settings() -> dict[str, str]:
    """Asks this interpreter's pip."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    return pip_settings(listing.stdout)


def environment_for_uv() -> dict[str, str]:
    """This process's environment with pip's configuration added in uv's words."""
    return uv_environment(read_pip_settings(), os.environ)


def _words(value: str) -> str:
    return " ".join(value.split())
