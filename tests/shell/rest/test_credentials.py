"""Keys: where they come from, what is refused, and that nothing shows them."""

import base64
import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from reactor.binance.sign import signature
from reactor.errors import ConfigError
from reactor.shell.rest.credentials import Credentials, load_credentials

ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def pem(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, passphrase: bytes = b"") -> str:
    hidden = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden
    ).decode()


def test_the_documented_vector() -> None:
    query = (
        "symbol=ETHUSDT&side=SELL&type=MARKET&quantity=0.5&reduceOnly=true&newClientOrderId=x-exit-000123"
        "&newOrderRespType=RESULT&recvWindow=5000&timestamp=1795000000000"
    )
    signed = Credentials("key", "made-up-secret-for-tests").sign(query)
    assert signed == "1cf335f29712d6d21f66f63033f96e6368664840e4d9b9da81fd2bcf4fcc156a"


ASCII_WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200)


@given(secret=ASCII_WORDS, payload=st.text(max_size=300))
def test_the_quick_way_signs_what_the_plain_way_signs(secret: str, payload: str) -> None:
    payload = payload.encode("utf-8", "ignore").decode()
    credentials = Credentials("key", secret)
    assert credentials.sign(payload) == signature(secret, payload)
    assert credentials.sign(payload) == signature(secret, payload), "and again"


def test_an_ed25519_key_signs_in_base64() -> None:
    credentials = Credentials("key", pem(ED25519))
    assert credentials.kind == "ED25519"
    signed = base64.b64decode(credentials.sign("symbol=BTCUSDT"), validate=True)
    ED25519.public_key().verify(signed, b"symbol=BTCUSDT")
    on_one_line = pem(ED25519).replace("\n", "\\n")
    assert Credentials("key", on_one_line).sign("a") == credentials.sign("a")


@pytest.mark.parametrize("secret", ["the-very-secret", pem(ED25519)], ids=["HMAC", "ED25519"])
def test_nothing_shows_them(secret: str) -> None:
    credentials = Credentials("the-very-key", secret)
    shown = f"{credentials} {credentials!r} {credentials!s} {[credentials]} {dir(credentials)}"
    assert "the-very" not in shown
    assert not hasattr(credentials, "__dict__")
    for copies in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied"):
            copies(credentials)


def test_a_traceback_with_them_shows_nothing() -> None:
    program = (
        "from reactor.shell.rest.credentials import Credentials\n"
        "credentials = Credentials('the-very-key', 'the-very-secret')\n"
        "raise RuntimeError(f'{credentials!r}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-"], input=program, capture_output=True, text=True, check=False
    )
    assert "Credentials(HMAC)" in done.stderr
    assert "very" not in done.stderr


def test_they_come_from_variables_or_files(tmp_path: Path) -> None:
    secret_file = tmp_path / "secret"
    secret_file.write_text("from-a-file\n")
    secret_file.chmod(0o600)
    warnings: list[str] = []
    environment = {"BINANCE_API_KEY": "key", "BINANCE_API_SECRET_FILE": str(secret_file)}
    credentials = load_credentials(environment, warn=warnings.append)
    assert credentials.api_key == "key"
    assert credentials.sign("a") == signature("from-a-file", "a")
    assert warnings == []
    secret_file.chmod(0o644)
    load_credentials(environment, warn=warnings.append)
    assert len(warnings) == 1
    assert "chmod 600" in warnings[0]


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "BINANCE_API_KEY is not set"),
        ({"BINANCE_API_KEY": "k"}, "BINANCE_API_SECRET is not set"),
        ({"BINANCE_API_KEY": "k", "BINANCE_API_KEY_FILE": "f"}, "both set"),
        ({"BINANCE_API_KEY": "a b", "BINANCE_API_SECRET": "s3cr3t"}, "no API key"),
        ({"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": "s3cr3t s3cr3t"}, "no secret"),
        ({"BINANCE_API_KEY": "k", "BINANCE_API_SECRET_FILE": "/nowhere/at/all"}, "No such file"),
        ({"BINANCE_API_KEY": "k", "BINANCE_API_SECRET_FILE": "/"}, "directory"),
        (
            {"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": "-----BEGIN PRIVATE KEY-----s3cr3t"},
            "copy it again, whole",
        ),
        (
            {"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": "-----BEGIN PUBLIC KEY-----s3cr3t"},
            "public key",
        ),
        (
            {
                "BINANCE_API_KEY": "k",
                "BINANCE_API_SECRET": pem(rsa.generate_private_key(65537, 2048)),
            },
            "another kind",
        ),
        ({"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": pem(ED25519, b"x")}, "passphrase"),
    ],
)
def test_what_cannot_be_used_is_one_line_that_quotes_nothing(
    environment: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        load_credentials(environment)
    message = str(caught.value)
    assert "\n" not in message
    assert "s3cr3t" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xff\xfe\x00", b"x" * 70_000])
def test_a_file_that_is_no_secret_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is it the right file"):
        load_credentials({"BINANCE_API_KEY": "k", "BINANCE_API_SECRET_FILE": str(path)})
