"""The status as tables for people: the live screen, `reactor status` and `reactor positions`, and the page."""

import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from reactor.watch.view import PositionView, Status

ALWAYS: Final = ("position", "price", "age", "stop", "next", "R", "protection")
"""The columns that a row has first of all."""

FIRST_TO_GO: Final = ("R", "next", "age")
"""What even of these is left out where nothing else fits."""

BESIDE: Final = ("unrealized", "hard stop", "quantity", "entry", "state", "plan")
"""What else is worth a column, the first one first, as far as there is room."""

COLUMNS: Final = (
    "position", "quantity", "entry", "price", "age", "stop", "next", "R", "unrealized", "hard stop",
    "protection", "state", "plan",
)  # fmt: skip
"""From left to right."""

DIGITS_SHOWN: Final = 7
"""Of a price: a mark price has eight decimals, an average entry twelve, and a table no room for them."""

GAP: Final = 2
"""Blanks between two columns."""

PROTECTION_CHARS_MIN: Final = 10
"""The protection column may be wrapped to so little before another column is left out."""

DECISION_CHARS_MIN: Final = 30
"""Of a decision's sentence, however narrow the terminal is."""

_KINDS: Final = {"stop_loss": "sl", "break_even": "be", "trailing_stop": "trail", "manual": "hand"}


def position_cells(view: PositionView, *, short: bool = False) -> dict[str, str]:
    """A position as a row, by column; short forms where there is little room."""
    if not view.managed:
        protection = "not managed"
    elif view.troubles:
        protection = ", ".join(trouble.text for trouble in view.troubles)
    else:
        protection = (view.protection or "not proved yet") + (", paused" if view.paused else "")
    # That a price came by the stream is the usual case, and needs no room.
    age = " ".join([_age(view.age_ms), *(word for word in view.source.split() if word != "stream")])
    stop = [_price(view.stop), _KINDS.get(view.stop_kind, view.stop_kind)]
    ahead = [_price(view.next_level), _percent(view.next_distance)]
    if not short:
        stop.append(_percent(view.stop_distance))
        ahead.append(view.next_what.replace("_", " "))
    cells = {
        "position": f"{view.symbol} {view.side[:1] if short else view.side}",
        "quantity": _number(view.quantity),
        "entry": _price(view.entry),
        "price": _price(view.price),
        "age": age,
        "stop": " ".join(stop),
        "next": " ".join(ahead),
        "R": _number(view.r_multiple, places=2),
        "unrealized": _number(view.unrealized, places=2),
        "hard stop": _price(view.hard_stop),
        "protection": protection,
        "state": view.state,
        "plan": view.plan,
    }
    return {name: cell.strip() for name, cell in cells.items()}


def positions_table(status: Status, *, width: int) -> Table:
    """The positions, the worst first, each on one line where that is possible; what has no room is left out."""
    rows = [position_cells(view) for view in status.positions]
    if _width(rows, ALWAYS) > width:
        rows = [position_cells(view, short=True) for view in status.positions]
    shown = set(ALWAYS)
    for name in FIRST_TO_GO:
        if _width(rows, shown) > width:
            shown.remove(name)
    for name in BESIDE:
        if _width(rows, (*shown, name)) > width:
            break
        shown.add(name)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for name in COLUMNS:
        if name in shown:
            wraps = name == "protection"
            table.add_column(name, no_wrap=not wraps, overflow="fold" if wraps else "ellipsis")
    for view, row in zip(status.positions, rows, strict=True):
        style = "bold red" if view.troubles else "" if view.managed else "dim"
        table.add_row(*(Text(row[name]) for name in COLUMNS if name in shown), style=style)
    return table


def _width(rows: list[dict[str, str]], names: Iterable[str]) -> int:
    """How wide a table of these columns is."""
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    if "protection" in widths:
        widths["protection"] = min(widths["protection"], PROTECTION_CHARS_MIN)
    return sum(widths.values()) + GAP * (len(widths) - 1)


def screen(status: Status, *, width: int, decisions_max: int = 8) -> Group:
    """Everything on one screen: state, what is wrong, positions, last decisions, sockets."""
    parts: list[Any] = [_headline(status)]
    parts += [
        Text(f"! {reason.symbol} {reason.side} {reason.text}".replace("  ", " "), style="bold red")
        for reason in status.reasons
        if not reason.symbol
    ]
    parts += [
        Text(f"! {alarm.symbol} {alarm.text}".replace("  ", " "), style="red")
        for alarm in status.alarms[:3]
    ]
    parts.append(Text())
    if status.positions:
        parts.append(positions_table(status, width=width))
    else:
        parts.append(Text("no open positions"))
    if status.decisions:
        parts.append(Text())
        parts.append(_decisions_table(status, decisions_max, width=width))
    parts.append(Text())
    parts.append(_links_line(status))
    if status.latency:
        parts.append(_latency_line(status, width=width))
    parts += [
        Text(f"  {note.symbol} {note.side} {note.text}".rstrip(), style="yellow")
        for note in status.notes[:5]
        if note.kind != "link_down"
    ]
    return Group(*parts)


def plain_lines(status: Status) -> list[str]:
    """The status as lines of a log: one for the session, one for each managed position."""
    state = "ready" if status.ready else "NOT READY"
    links = " ".join(f"{link.stream}={link.state}" for link in status.links)
    lines = [
        f"{clock(status.now_ms)} {state} {status.mode} positions={len(status.positions)} {links}".rstrip()
    ]
    lines += [f"  ! {reason.text}" for reason in status.reasons if not reason.symbol]
    for view in status.positions:
        if view.managed:
            cells = position_cells(view, short=True)
            text = "  ".join(f"{name} {cells[name]}" for name in ALWAYS if name != "position")
            lines.append(f"  {cells['position']}  {text}")
    return lines


def _headline(status: Status) -> Text:
    state = ("ready", "bold green") if status.ready else ("NOT READY", "bold red")
    live = "bold red" if status.mode == "live" else "bold"
    return Text.assemble(
        "Exit Reactor ",
        state,
        "  ",
        (status.mode or "starting", live),
        f"  {status.environment}  {status.instance}  {clock(status.now_ms)}",
    )


def _decisions_table(status: Status, decisions_max: int, *, width: int) -> Table:
    rows = []
    for made in status.decisions[:decisions_max]:
        # Those that somebody may want to have explained; the others' ids are long, and listed by `reactor why`.
        asked = made.id if made.kind in {"exit", "opened"} else ""
        rows.append((clock(made.t_ms), f"{made.symbol} {made.side[:1]}".strip(), made.text, asked))
    beside = sum(max(len(row[column]) for row in rows) + GAP for column in (0, 1, 3))
    room = max(DECISION_CHARS_MIN, width - beside)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=False)
    for time_of_day, name, said, asked in rows:
        cut = said if len(said) <= room else f"{said[: room - 1]}…"
        table.add_row(time_of_day, Text(name), Text(cut), Text(asked, style="dim"))
    return table


def _links_line(status: Status) -> Text:
    text = Text("sockets ")
    for link in status.links:
        style = "green" if link.state == "up" else "bold red"
        text.append(f" {link.stream} {link.state}", style=style)
    if not status.links:
        text.append("none yet", style="yellow")
    return text


LATENCY_STEPS: Final = {
    "tick_to_wire": "tick to wire",
    "wire_to_ack": "to answer",
    "wire_to_fill": "to fill",
}
"""Of an order's way, what one line has room for; `--json` and `/metrics` have every step."""


def _latency_line(status: Status, *, width: int) -> Text:
    """How long orders took since the start, usual and worst of a hundred."""
    found = [
        f"{words} {_span(status.latency[step].p50_us)} (99 %: {_span(status.latency[step].p99_us)})"
        for step, words in LATENCY_STEPS.items()
        if step in status.latency
    ]
    text = f"orders   {', '.join(found)}"
    return Text(text if len(text) <= width else f"{text[: width - 1]}…")


def _span(us: float) -> str:
    return (
        f"{us:.0f} µs" if us < 1000 else f"{us / 1000:.3g} ms" if us < 1e6 else f"{us / 1e6:.3g} s"
    )


def _number(value: Decimal | None, *, places: int | None = None) -> str:
    if value is None:
        return "–"
    return f"{value:f}" if places is None else f"{value:.{places}f}"


def _price(value: Decimal | None) -> str:
    """A price with as many digits as a table has room for."""
    if value is None or not value:
        return "–" if value is None else "0"
    places = max(0, DIGITS_SHOWN - 1 - value.adjusted())
    exponent = value.as_tuple().exponent
    is_long = isinstance(exponent, int) and -exponent > places
    return f"{value:.{places}f}" if is_long else f"{value:f}"


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{fraction * 100:.2f}%"


def _age(age_ms: int | None) -> str:
    return "never" if age_ms is None else f"{age_ms / 1000:.1f}s"


def clock(t_ms: int) -> str:
    """A time of day, UTC."""
    return time.strftime("%H:%M:%S", time.gmtime(t_ms / 1000))
