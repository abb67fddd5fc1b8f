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
from importlib.resources.abc import Traversable
from typing import Any, Final, NamedTuple

import orjson

from reactor import __version__

_STATIC: Final = files("reactor.replay") / "static"


class Look(NamedTuple):
    """What a page is put together from, besides what it shows.

    Attributes:
        template: the HTML, with places for `title`, `policy`, `version`, `license`, `style`, `session`
            and `script`.
        scripts: in this order: each uses what the ones before it define.
        styles: likewise.
    """

    template: Traversable
    scripts: tuple[Traversable, ...]
    styles: tuple[Traversable, ...]


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

SESSION: Final = Look(
    _STATIC / "report.html",
    tuple(_STATIC / name for name in SCRIPTS),
    tuple(_STATIC / name for name in STYLES),
)
"""A replay's page."""

_BANNER: Final = re.compile(r"\A/\*!.*?\*/\s*", re.DOTALL)
_PLACE: Final = re.compile(r"\{\{(\w+)\}\}")


def page(*, title: str, session: dict[str, Any], look: Look = SESSION) -> bytes:
    """The whole page.

    Args:
        title: the heading, any text.
        session: what is shown, as `Report` makes it. Texts may be anything; numbers are finite.
        look: what the page is put together from.

    Returns:
        HTML in UTF-8.
    """
    script, style = _script(look), "\n".join(map(_asset, look.styles))
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
        "license": html.escape(_asset(_STATIC / "uPlot.LICENSE").strip()),
        "style": style,
        "session": _inert_json({"title": title} | session),
        "script": script,
    }
    # One pass: what is put in is never looked at again, so no text can name another part.
    return _PLACE.sub(lambda place: parts[place[1]], _asset(look.template)).encode()


def _asset(file: Traversable) -> str:
    return file.read_text(encoding="utf-8")


def _script(look: Look) -> str:
    # The library's one-line banner has an address in it; its licence stands in the page instead.
    return "\n".join(_BANNER.sub("", _asset(file)) for file in look.scripts)


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
