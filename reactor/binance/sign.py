"""Signatures of requests: HMAC-SHA256 in hexadecimal, over exactly the text that is sent.

Time is an argument like any other: the caller puts `timestamp` and `recvWindow` into the parameters.
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote, urlencode

Value = str | int
"""Decimals go as texts, ids and times as whole numbers, booleans as `true` and `false`."""


def signature(secret: str, payload: str) -> str:
    """The HMAC-SHA256 of a text, 64 hexadecimal digits.

    Args:
        secret: the API secret.
        payload: the query string or the WebSocket-API text, percent-encoded already.
    """
    return hmac.digest(secret.encode(), payload.encode(), hashlib.sha256).hex()


def query_string(params: Mapping[str, Value]) -> str:
    """The parameters as a query string, in their order, percent-encoded as UTF-8.

    Symbols may be non-ASCII since 2025-10, and what is signed must be the encoded text.
    """
    return urlencode(params, quote_via=quote)


def signed_query(params: Mapping[str, Value], *, secret: str) -> str:
    """The query string of a signed REST request, `signature` last.

    Everything goes into the query string, the body stays empty: then there is one text to sign and no
    doubt about what was signed.
    """
    query = query_string(params)
    return f"{query}&signature={signature(secret, query)}"


def ws_api_text(params: Mapping[str, Value]) -> str:
    """What a signed WebSocket-API request signs: all parameters by name, `k=v` joined with `&`.

    Args:
        params: the request's `params` with `apiKey` and `timestamp`, without `signature`.

    Returns:
        The text. ASCII stays as it is (the documentation encodes nothing); non-ASCII symbols are
        percent-encoded, as the exchange's own client does.
    """
    return "&".join(f"{name}={_ascii(params[name])}" for name in sorted(params))


def signed_ws_params(params: Mapping[str, Value], *, secret: str) -> dict[str, Value]:
    """The `params` of a signed WebSocket-API request: the given ones and their `signature`."""
    return {**params, "signature": signature(secret, ws_api_text(params))}


def _ascii(value: Value) -> str:
    text = str(value)
    return text if text.isascii() else "".join(c if c.isascii() else quote(c) for c in text)
