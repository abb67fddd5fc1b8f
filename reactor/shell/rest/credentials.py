"""API credentials: read from the environment, never shown, and quick to sign with.

HMAC secrets are texts; an Ed25519 key is a PEM (PKCS#8), which is how the two are told apart. Signatures are
lower-case hexadecimal for HMAC-SHA256 and base64 for Ed25519, as Binance's own client makes them. RSA keys are refused:
their signatures take a thousand times as long as an HMAC.
"""

import base64
import hashlib
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from reactor.errors import ConfigError

Kind = Literal["HMAC", "ED25519"]

KEY_VARIABLE: Final = "BINANCE_API_KEY"
SECRET_VARIABLE: Final = "BINANCE_API_SECRET"  # noqa: S105 - the variable's name, not a secret

SECRET_FILE_BYTES_MAX: Final = 65_536
"""A PEM has under 300 bytes. A larger file is something else, given by mistake."""


_BLOCK_BYTES: Final = 64
"""SHA-256 works on blocks of this size."""


class Credentials:
    """An API key and what signs for it. Nothing that prints, copies or pickles it shows more than its kind."""

    __slots__ = ("_api_key", "_ed25519", "_inner", "_outer", "kind")

    kind: Kind

    def __init__(self, api_key: str, secret: str) -> None:
        """Keeps a key.

        Args:
            api_key: as Binance gave it.
            secret: an HMAC secret, or an Ed25519 private key as PEM.

        Raises:
            ConfigError: the key or the secret cannot be one; neither is quoted.
        """
        if not api_key.isascii() or not api_key.isprintable() or " " in api_key or not api_key:
            raise ConfigError(
                f"{KEY_VARIABLE} is no API key: it is one word of letters and digits; copy it again"
            )
        self._api_key = api_key
        self._ed25519: Ed25519PrivateKey | None = None
        if "-----BEGIN" in secret:
            self.kind = "ED25519"
            self._ed25519 = _ed25519_key(secret)
        else:
            if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
                raise ConfigError(
                    f"{SECRET_VARIABLE} is no secret: it is one word, or a PEM of an Ed25519 key;"
                    " copy it again"
                )
            self.kind = "HMAC"
            # RFC 2104: the key's two blocks are hashed once; each signature starts from copies of their
            # states, which takes less than half the time of `hmac.digest` (0.9 against 2.2 µs).
            key = secret.encode()
            key = hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key
            block = key.ljust(_BLOCK_BYTES, b"\0")
            self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
            self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    @property
    def api_key(self) -> str:
        """What goes into `X-MBX-APIKEY` and `apiKey`. Not to be shown."""
        return self._api_key

    def sign(self, payload: str) -> str:
        """The signature of a request.

        Args:
            payload: the query string, or the WebSocket API's sorted text, percent-encoded already.

        Returns:
            64 hexadecimal digits (HMAC), or 88 characters of base64 (Ed25519), not percent-encoded.
        """
        if self._ed25519 is not None:
            return base64.b64encode(self._ed25519.sign(payload.encode())).decode()
        inner = self._inner.copy()
        inner.update(payload.encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    def __repr__(self) -> str:
        return f"Credentials({self.kind})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("credentials are not copied or pickled")


def load_credentials(
    environment: Mapping[str, str], *, warn: Callable[[str], None] | None = None
) -> Credentials:
    """The credentials that the environment gives: `BINANCE_API_KEY` and `BINANCE_API_SECRET`, or `…_FILE`.

    Args:
        environment: the process's variables.
        warn: told one line for each file that others may read.

    Raises:
        ConfigError: one is missing, given twice, unreadable, or cannot be what it should be.
    """
    tell = warn or (lambda _line: None)
    api_key = _value(environment, KEY_VARIABLE, tell)
    secret = _value(environment, SECRET_VARIABLE, tell)
    return Credentials(api_key, secret)


def _value(environment: Mapping[str, str], name: str, tell: Callable[[str], None]) -> str:
    given = environment.get(name, "").strip()
    file_name = environment.get(f"{name}_FILE", "").strip()
    if given and file_name:
        raise ConfigError(f"{name} and {name}_FILE are both set; unset one of them")
    if given:
        return given
    if not file_name:
        raise ConfigError(f"{name} is not set; set it, or {name}_FILE to a file that holds it")
    path = Path(file_name)
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            raw = file.read(SECRET_FILE_BYTES_MAX + 1)
        text = raw.decode("ascii").strip()
    except OSError as error:
        raise ConfigError(f"{name}_FILE: cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}_FILE: {path} holds no text; is it the right file?") from None
    if len(raw) > SECRET_FILE_BYTES_MAX or not text:
        what = "is empty" if not text else "is too large to be a key"
        raise ConfigError(f"{name}_FILE: {path} {what}; is it the right file?")
    if mode & 0o077:
        tell(f"{path} can be read by others (mode {mode:03o}); chmod 600 it")
    return text


def _ed25519_key(pem: str) -> Ed25519PrivateKey:
    # Environment files hold a PEM on one line, its ends of line as \n.
    text = pem if "\n" in pem.strip() else pem.replace("\\n", "\n")
    if "PUBLIC KEY" in text:
        raise ConfigError(f"{SECRET_VARIABLE} is a public key; the private one is needed")
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise ConfigError(
            f"{SECRET_VARIABLE} is a PEM with a passphrase; store it without one, readable only by you"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{SECRET_VARIABLE} begins like a PEM and cannot be read as one; copy it again, whole"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"{SECRET_VARIABLE} is a PEM of another kind; only Ed25519 keys and HMAC secrets are handled"
        )
    return key
