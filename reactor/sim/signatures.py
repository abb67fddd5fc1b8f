"""Whether a request was signed by the owner of its key, exactly as Binance computes it.

REST signs the query string and body as they were sent, without the signature itself; the WebSocket
API signs its parameters sorted by name. Source: binance.md §5, §6.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from reactor.errors import ConfigError
from reactor.sim.model import Credential


def split_signature(raw: str) -> tuple[str, str | None]:
    """Take ``signature=`` out of a raw query string or form body.

    Returns:
        The text without it, otherwise byte for byte as sent, and the signature as sent or None.
    """
    if "signature=" not in raw:
        return raw, None
    kept: list[str] = []
    signature: str | None = None
    for part in raw.split("&"):
        if part.startswith("signature="):
            signature = part[len("signature=") :]
        else:
            kept.append(part)
    return "&".join(kept), signature


def websocket_payload(params: Mapping[str, Any]) -> str:
    """Return the text that a WebSocket API request signs: all parameters but the signature, sorted."""
    return "&".join(
        f"{name}={_spelled(params[name])}" for name in sorted(params) if name != "signature"
    )


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def verify(credential: Credential, payload: str, signature: str) -> bool:
    """Tell whether a signature belongs to a payload.

    Args:
        credential: The key the request named.
        payload: The exact text that was signed.
        signature: As sent: HMAC as hex in either case; Ed25519 and RSA as base64, percent-encoded
            or not.
    """
    if credential.kind == "HMAC":
        expected = hmac.new(
            credential.secret.encode(), payload.encode(), hashlib.sha256
        ).hexdigest()
        return hmac.compare_digest(expected.encode(), signature.lower().encode())
    try:
        raw = base64.b64decode(unquote(signature), validate=True)
    except (binascii.Error, ValueError):
        return False
    return _verify_asymmetric(credential.kind, credential.secret, payload.encode(), raw)


@lru_cache(maxsize=64)
def load_public_key(pem: str) -> Any:
    """Read a PEM public key.

    Raises:
        ConfigError: The text is no public key, or the extra that reads keys is not installed.
    """
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 -- for such keys alone
        load_pem_public_key,
    )

    try:
        return load_pem_public_key(pem.encode())
    except ValueError as error:
        raise ConfigError("this is not a public key in PEM form (BEGIN PUBLIC KEY)") from error


def _verify_asymmetric(kind: str, pem: str, payload: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- for such keys alone
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 -- for such keys alone
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415 -- for such keys alone

    key = load_public_key(pem)
    try:
        if kind == "ED25519":
            key.verify(signature, payload)
        else:
            key.verify(signature, payload, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True
