"""Reading what the control door is sent."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from reactor.errors import ConfigError
from reactor.sim.rest import Response

Body = Mapping[str, Any]
NUMBER_MAX = 10**15  # beyond it sums of products would lose digits


def number(body: Body, name: str, default: str | None = None) -> Decimal:
    """Return a finite number, whether it was sent as one or as text."""
    value = body.get(name, default)
    try:
        value_read = Decimal(str(value))
    except InvalidOperation as error:
        raise ConfigError(f"{name!r} must be a number, not {value!r}") from error
    if not value_read.is_finite() or abs(value_read) > NUMBER_MAX:
        raise ConfigError(f"{name!r} must be a number between -1e15 and 1e15")
    return value_read


def whole(body: Body, name: str, default: int = 0) -> int:
    """Return a whole number."""
    return int(number(body, name, str(default)))


def as_object(text: str) -> Body:
    """Return a JSON object; nothing is an empty one."""
    body = orjson.loads(text) if text else {}
    if not isinstance(body, dict):
        raise ConfigError("the body must be a JSON object")
    return body


def failure(status: int, text: str) -> Response:
    """Return an answer that says in one line what was wrong."""
    return Response(status=status, body=orjson.dumps({"error": text}))
