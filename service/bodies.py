"""JSON as RFC 8259 has it: UTF-8, with neither NaN nor infinities, and only with text that Unicode knows.

Python's parser takes all of these, and the first that cannot is a store, a model server or a client.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute


def parse_json(body: bytes | str) -> Any:
    """Raises `json.JSONDecodeError`, for a number too long to be read and too deep a nesting too."""
    try:
        text = body if isinstance(body, str) else body.decode()
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(str(error), "", 0) from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


class JsonRequest(Request):
    """A request whose JSON is checked."""

    async def json(self) -> Any:
        """Raises `json.JSONDecodeError`, which FastAPI makes a `RequestValidationError`."""
        data = parse_json(await self.body())
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise json.JSONDecodeError("a string holds an unpaired surrogate", "", 0) from error
        return data


class JsonRoute(APIRoute):
    """A route that reads its body as `JsonRequest` does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own, given a `JsonRequest`."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_json
