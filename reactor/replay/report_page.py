"""One self-contained HTML file out of what a session was: style, program and numbers inside.

Nothing that came from outside (a title, a symbol, a plan's name) can become markup: the title is escaped,
all else is JSON in which no `<` is left, put into the page as text by the program. A content security policy
says the same once more: only the scripts and styles whose hashes it names run, and nothing is fetched.
"""

import base64
import hashlib
import html
import re
from importlib.resources import files
from typing import Any, Final

import orjson

from reactor import __version__

SCRIPTS: Final = (
    "uPlot.iife.min.js",
    "report_format.js",
    "report_session.js",
    "report_layers.js",
    "report_heights.js",
    "report_pointers.js",
    "report_chart.js",
    "report_tables.js",
    "report.js",
)
"""In this order: each uses what the ones before it define."""

STYLES: Final = ("uPlot.min.css", "report.css")

_STATIC: Final = files("reactor.replay") / "static"
_BANNER: Final = re.compile(r"\A/\*!.*?\*/\s*", re.DOTALL)
_PLACE: Final = re.compile(r"\{\{(\w+)\}\}")


def page(*, title: str, session: dict[str, Any]) -> bytes:
    """The whole page.

    Args:
        title: the heading, any text.
        session: what is shown, as `Report` makes it. Texts may be anything; numbers are finite.

    Returns:
        HTML in UTF-8.
    """
    script, style = _script(), _style()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    parts = {
        "title": html.escape(_legible(title)),
        "policy": html.escape(policy, quote=False),
        "version": html.escape(__version__),
        "license": html.escape(_asset("uPlot.LICENSE").strip()),
        "style": style,
        "session": _inert_json({"title": title} | session),
        "script": script,
    }
    # One pass: what is put in is never looked at again, so no text can name another part.
    return _PLACE.sub(lambda place: parts[place[1]], _asset("report.html")).encode()


def _asset(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")


def _script() -> str:
    # The library's one-line banner has an address in it; its licence stands in the page instead.
    return "\n".join(_BANNER.sub("", _asset(name)) for name in SCRIPTS)


def _style() -> str:
    return "\n".join(_asset(name) for name in STYLES)


def _hash(inline: str) -> str:
    """How a content security policy names an inline script or style: what stands between the tags."""
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _inert_json(value: Any) -> str:
    """JSON that no HTML parser sees an end tag, a comment or an entity in."""
    encoded = orjson.dumps(_without_surrogates(value)).decode()
    return encoded.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _legible(given: str) -> str:
    """Text that UTF-8 can carry: file names may hold bytes that are not, as lone surrogates."""
    return given.encode("utf-8", "replace").decode("utf-8")


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return _legible(value)
        case dict():
            return {_legible(str(key)): _without_surrogates(item) for key, item in value.items()}
        case list() | tuple() if value and not isinstance(value[0], int | float):
            return [_without_surrogates(item) for item in value]
        case _:
            return value
