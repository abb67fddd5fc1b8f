"""Who may ask what."""

import base64
from pathlib import Path

import pytest

from reactor.control.access import Access, is_loopback
from reactor.control.token import read_token
from reactor.errors import ConfigError

TOKEN = "0123456789abcdef"
LOCAL = Access(token=None)
LOCKED = Access(token=TOKEN)
REMOTE = Access(token=TOKEN, any_host=True)
SOCKET = Access(token=None, by_socket=True)
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BASIC = {"Authorization": "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode()}
JSON = {"Content-Type": "application/json; charset=utf-8"}
HERE = {"Host": "127.0.0.1:8080"}


@pytest.mark.parametrize(
    ("access", "method", "path", "headers", "status"),
    [
        (LOCAL, "GET", "/", HERE, None),
        (LOCAL, "GET", "/", {"Host": "localhost:8080"}, None),
        (LOCAL, "GET", "/", {"Host": "[::1]:8080"}, None),
        (LOCAL, "GET", "/", {"Host": "127.0.0.2"}, None),
        (LOCAL, "GET", "/", {"Host": "evil.example:8080"}, 403),
        (LOCAL, "GET", "/", {"Host": "[::1"}, 403),
        (LOCAL, "GET", "/", {}, 403),
        (LOCAL, "GET", "/healthz", {"Host": "evil.example"}, 403),
        (LOCAL, "POST", "/api/v1/flatten", {**HERE, **JSON}, None),
        (LOCAL, "POST", "/api/v1/flatten", HERE, 415),
        (LOCAL, "POST", "/api/v1/flatten", {**HERE, "Content-Type": "text/plain"}, 415),
        (LOCAL, "POST", "/x", {**HERE, **JSON, "Origin": "http://evil.example"}, 403),
        (LOCAL, "POST", "/x", {**HERE, **JSON, "Origin": "null"}, 403),
        (LOCAL, "POST", "/x", {**HERE, **JSON, "Origin": "http://127.0.0.1:8080"}, None),
        (LOCAL, "POST", "/x", {**HERE, **JSON, "Origin": "http://127.0.0.1:9"}, 403),
        (LOCAL, "GET", "/api/v1/status", {**HERE, "Sec-Fetch-Site": "cross-site"}, 403),
        (LOCKED, "GET", "/api/v1/status", HERE, 401),
        (LOCKED, "GET", "/metrics", HERE, 401),
        (LOCKED, "GET", "/readyz", HERE, None),
        (LOCKED, "GET", "/api/v1/status", {**HERE, **BEARER}, None),
        (LOCKED, "GET", "/", {**HERE, **BASIC}, None),
        (LOCKED, "POST", "/api/v1/pause", {**HERE, **JSON, **BASIC}, 401),
        (LOCKED, "POST", "/api/v1/pause", {**HERE, **JSON, **BEARER}, None),
        (LOCKED, "GET", "/", {**HERE, "Authorization": "Basic %%%"}, 401),
        (LOCKED, "GET", "/", {**HERE, "Authorization": f"Bearer {TOKEN}x"}, 401),
        (LOCKED, "GET", "/", {**HERE, "Authorization": "Bearer \u00e9"}, 401),
        (REMOTE, "GET", "/", {"Host": "reactor.lan", **BEARER}, None),
        (REMOTE, "GET", "/", {"Host": "reactor.lan"}, 401),
        (SOCKET, "GET", "/", {}, None),
    ],
)
def test_each_request_is_let_in_or_refused(
    access: Access, method: str, path: str, headers: dict[str, str], status: int | None
) -> None:
    refused = access.refusal(method, path, headers)
    assert (refused and refused.status) == status


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("reactor.lan", False),
    ],
)
def test_which_hosts_only_this_machine_reaches(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_the_token_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    assert read_token({}) is None
    assert read_token({"REACTOR_HTTP_TOKEN": ""}) is None
    assert read_token({"REACTOR_HTTP_TOKEN": TOKEN}) == TOKEN
    assert read_token({"REACTOR_HTTP_TOKEN_FILE": str(file)}) == TOKEN
    assert read_token({"REACTOR_HTTP_TOKEN": "x" * 20}, token_file=str(file)) == TOKEN


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"REACTOR_HTTP_TOKEN": "short"}, "at least 16"),
        ({"REACTOR_HTTP_TOKEN": "sixteen with blank"}, "no blanks"),
        ({"REACTOR_HTTP_TOKEN": "é" * 16}, "ASCII"),
        ({"REACTOR_HTTP_TOKEN": TOKEN, "REACTOR_HTTP_TOKEN_FILE": "x"}, "unset one"),
        (
            {"REACTOR_HTTP_TOKEN_FILE": "/nowhere/token"},
            "cannot read the token file /nowhere/token",
        ),
    ],
)
def test_a_token_that_cannot_be_used_is_refused(environ: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        read_token(environ)
    assert environ.get("REACTOR_HTTP_TOKEN", "-") not in str(caught.value)
