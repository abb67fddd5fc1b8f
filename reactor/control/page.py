"""The page at `/`: the positions as a table, made on the server, refreshed by the browser. No scripts, no assets."""

from collections.abc import Sequence
from html import escape

from reactor.watch.tables import COLUMNS, clock, position_cells
from reactor.watch.view import Status

STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:1.5em;color:#222;background:#fff}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .55em;text-align:left;"
    "border-bottom:1px solid #ddd;white-space:nowrap}div{overflow-x:auto}.bad{color:#b00020;font-weight:600}.ok{color:#14662a}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}td,th{border-color:#333}"
    ".bad{color:#ff6b7d}.ok{color:#6fcf84}}"
)


def page(status: Status) -> str:
    """The whole page."""
    state = (
        '<span class="ok">ready</span>' if status.ready else '<span class="bad">NOT READY</span>'
    )
    who = f"{status.instance} · {status.environment} · {status.mode} · {status.version}"
    reasons = "".join(
        f'<li class="bad">{escape(f"{reason.symbol} {reason.side} {reason.text}".strip())}</li>'
        for reason in status.reasons
    )
    notes = "".join(
        f"<li>{escape(f'{note.symbol} {note.side} {note.text}'.strip())}</li>"
        for note in status.notes
    )
    rows = [
        (tuple(position_cells(view).values()), "bad" if view.troubles else "")
        for view in status.positions
    ]
    links = [
        ((link.stream, link.state, f"{link.for_s:.0f} s", link.reason), "") for link in status.links
    ]
    decided = [
        ((clock(made.t_ms), f"{made.symbol} {made.side}".strip(), made.text, made.id), "")
        for made in status.decisions
    ]
    alarms = [
        ((alarm.kind, alarm.symbol, alarm.text, f"×{alarm.times}"), "bad")
        for alarm in status.alarms
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Exit Reactor</title>'
        '<meta http-equiv="refresh" content="2"><meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style></head><body><h1>Exit Reactor: {state}</h1><p>{escape(who)}</p>"
        f"<ul>{reasons}{notes}</ul>"
        + _table("Positions", COLUMNS, rows)
        + _table("Alarms", ("kind", "symbol", "what", "times"), alarms)
        + _table("Last decisions", ("time (UTC)", "position", "decision", "id"), decided)
        + _table("Sockets", ("socket", "state", "for", "why"), links)
        + "</body></html>"
    )


def _table(
    title: str, columns: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], str]]
) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f'<tr class="{mark}">' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for cells, mark in rows
    )
    if not rows:
        return f"<h2>{title}</h2><p>none</p>"
    return f"<h2>{title}</h2><div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
