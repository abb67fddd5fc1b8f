"""The status as tables for people: the live screen, `reactor status` and `reactor positions`, and the page."""

import time
from decimal import Decimal
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from reactor.watch.view import PositionView, Status

WIDE: Final = 120
"""Columns of a terminal from which on everything fits."""

_NARROW_COLUMNS: Final = ("position", "price", "age", "stop", "next", "R", "protection")
_WIDE_COLUMNS: Final = (
    "position", "quantity", "entry", "price", "age", "stop", "next", "R", "unrealized", "hard stop",
    "protection", "state", "plan",
)  # fmt: skip

_KINDS: Final = {"stop_loss": "sl", "break_even": "be", "trailing_stop": "trail", "manual": "hand"}


def position_columns(*, wide: bool) -> tuple[str, ...]:
    """The names of what `position_cells` gives."""
    return _WIDE_COLUMNS if wide else _NARROW_COLUMNS


def position_cells(view: PositionView, *, wide: bool) -> tuple[str, ...]:
    """A position as a row."""
    if not view.managed:
        protection = "not managed"
    elif view.troubles:
        protection = ", ".join(trouble.text for trouble in view.troubles)
    else:
        protection = (view.protection or "not proved yet") + (", paused" if view.paused else "")
    # That a price came by the stream is the usual case, and needs no room.
    age = " ".join([_age(view.age_ms), *(word for word in view.source.split() if word != "stream")])
    kind = _KINDS.get(view.stop_kind, view.stop_kind)
    stop = f"{_number(view.stop)} {kind}"
    ahead = f"{_number(view.next_level)} {_percent(view.next_distance)}"
    r_multiple = _number(view.r_multiple, places=2)
    cells: tuple[str, ...]
    if not wide:
        name = f"{view.symbol} {view.side[:1]}"
        cells = (name, _number(view.price), age, stop, ahead, r_multiple, protection)
    else:
        cells = (
            f"{view.symbol} {view.side}",
            _number(view.quantity),
            _number(view.entry),
            _number(view.price),
            age,
            f"{stop} {_percent(view.stop_distance)}",
            f"{ahead} {view.next_what}",
            r_multiple,
            _number(view.unrealized, places=2),
            _number(view.hard_stop),
            protection,
            view.state,
            view.plan,
        )
    return tuple(cell.strip() for cell in cells)


def positions_table(status: Status, *, width: int) -> Table:
    """The positions, the worst first."""
    wide = width >= WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", expand=False)
    for name in position_columns(wide=wide):
        keep = name in {"position", "price", "stop", "age"}
        table.add_column(name, no_wrap=keep, overflow="fold", min_width=len(name))
    for view in status.positions:
        style = "bold red" if view.troubles else "" if view.managed else "dim"
        table.add_row(*(Text(cell) for cell in position_cells(view, wide=wide)), style=style)
    return table


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
        parts.append(_decisions_table(status, decisions_max))
    parts.append(Text())
    parts.append(_links_line(status))
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
        f"{_clock(status.now_ms)} {state} {status.mode} positions={len(status.positions)} {links}".rstrip()
    ]
    lines += [f"  ! {reason.text}" for reason in status.reasons if not reason.symbol]
    for view in status.positions:
        if view.managed:
            cells = dict(zip(_NARROW_COLUMNS, position_cells(view, wide=False), strict=True))
            text = "  ".join(f"{name} {cell}" for name, cell in cells.items() if name != "position")
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
        f"  {status.environment}  {status.instance}  {_clock(status.now_ms)}",
    )


def _decisions_table(status: Status, decisions_max: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
    for made in status.decisions[:decisions_max]:
        name = f"{made.symbol} {made.side[:1]}".strip()
        table.add_row(_clock(made.t_ms), Text(name), Text(made.text), Text(made.id, style="dim"))
    return table


def _links_line(status: Status) -> Text:
    text = Text("sockets ")
    for link in status.links:
        style = "green" if link.state == "up" else "bold red"
        text.append(f" {link.stream} {link.state}", style=style)
    if not status.links:
        text.append("none yet", style="yellow")
    return text


def _number(value: Decimal | None, *, places: int | None = None) -> str:
    if value is None:
        return "–"
    return f"{value:f}" if places is None else f"{value:.{places}f}"


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{fraction * 100:.2f}%"


def _age(age_ms: int | None) -> str:
    return "never" if age_ms is None else f"{age_ms / 1000:.1f}s"


def _clock(t_ms: int) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(t_ms / 1000))
