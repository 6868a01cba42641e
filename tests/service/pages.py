"""A browser as far as the dashboard's forms need one: it keeps cookies, and sends back what a form holds."""

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.service.conftest import visitor

ROOT = "/dashboard"


@dataclass
class Browser:
    """Opens pages on this machine, following redirects."""

    client: TestClient
    token: str = field(default="", repr=False)

    @classmethod
    def at(cls, app: FastAPI, secret: str | None = None) -> "Browser":
        """One that is signed in with a key, if one is given. The app must be running."""
        made = cls(visitor(app))
        made.open("/sign-in" if secret else "")
        if secret is not None:
            made.send("/sign-in", secret=secret)
            assert made.client.cookies, "the key does not hold"
            made.open("/settings")  # what a key without `read` is refused still tells who is signed in
        return made

    def open(self, path: str, **query: Any) -> Response:
        """A page."""
        return self._seen(self.client.get(f"{ROOT}{path}", params=query or None))

    def send(self, path: str, files: Any = None, **form: Any) -> Response:
        """A form, as a page of ours sends it."""
        return self._seen(self.client.post(f"{ROOT}{path}", data={"form_token": self.token, **form}, files=files))

    def _seen(self, response: Response) -> Response:
        if found := re.search(r'name="form_token" value="(\w+)"|X-Form-Token": "(\w+)"', response.text):
            self.token = found[1] or found[2]
        return response


def text_of(response: Response) -> str:
    """What a page says, without its marks, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.unsafe: list[str] = []
        self.with_token = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form" and (found.get("method") or "get").lower() == "post":
            self.unsafe.append(found.get("action") or "")
        if tag == "input" and found.get("name") == "form_token":
            self.with_token += 1


def unsafe_forms(response: Response) -> tuple[list[str], int]:
    """Where the page's forms that change something lead, and how many tokens are in them."""
    parser = _Forms()
    parser.feed(response.text)
    return parser.unsafe, parser.with_token
