"""Tables that show a person what is on a tape."""

import heapq
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from reactor.shell.tape_info import StreamSummary, TapeSummary

_ROWS_SHOWN = 40
_DAMAGE_SHOWN = 10


def render(summary: TapeSummary, *, every_stream: bool = False) -> RenderableType:
    """Make the tables that a person reads.

    Args:
        summary: of one tape.
        every_stream: also show those beyond the busiest 40.
    """
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(summary):
        facts.add_row(Text(name, style="bold"), Text(value))
    parts: list[RenderableType] = [facts]
    if summary.streams:
        parts.append(_stream_table(summary.streams, every_stream=every_stream))
    if summary.damage_count:
        parts.append(_damage_table(summary))
    return Group(*parts)


def _facts(summary: TapeSummary) -> list[tuple[str, str]]:
    carried = [
        *(["config"] if summary.has_config else []),
        *(f"plan {name}" for name in summary.plans),
        *(["journal"] if summary.has_journal else []),
    ]
    symbols = summary.symbols[:_ROWS_SHOWN]
    more = len(summary.symbols) - len(symbols)
    facts = [
        ("tape", summary.path),
        ("created", f"{summary.created or 'not said'}, {summary.environment or 'not said where'}"),
        ("carries", ", ".join(carried) or "messages only"),
        ("messages", f"{summary.messages:,}  {_counts(summary.channels)}"),
    ]
    if summary.messages:
        duration = _duration(summary.last_ns - summary.first_ns)
        span = f"{_moment(summary.first_ns)} to {_moment(summary.last_ns)}  ({duration})"
        facts.append(("span", span))
    facts.append(
        ("symbols", f"{len(summary.symbols)}: {' '.join(symbols)}" + (f" +{more}" if more else ""))
    )
    if summary.backwards:
        largest = _duration(summary.backwards_max_ns)
        facts.append(("time", f"runs backwards {summary.backwards} times, by at most {largest}"))
    facts.append(("damage", f"{summary.damage_count} lines" if summary.damage_count else "none"))
    return facts


def _stream_table(streams: list[StreamSummary], *, every_stream: bool) -> Table:
    table = Table(title="streams", title_justify="left")
    for name in ("stream", "channel"):
        table.add_column(name, no_wrap=True)
    for name in ("messages", "longest silence", "from", "id gaps", "ids missing", "backwards"):
        table.add_column(name, justify="right", no_wrap=True)
    shown = streams
    if len(streams) > _ROWS_SHOWN and not every_stream:
        busiest = heapq.nlargest(_ROWS_SHOWN, streams, key=lambda stream: stream.messages)
        keys = {(stream.channel, stream.name) for stream in busiest}
        shown = [stream for stream in streams if (stream.channel, stream.name) in keys]
        table.caption = (
            f"the busiest {_ROWS_SHOWN} of {len(streams)} streams; --all shows every one"
        )
    for stream in shown:
        silence = stream.silences[0] if stream.silences else None
        table.add_row(
            Text(stream.name),
            Text(stream.channel),
            f"{stream.messages:,}",
            _duration(silence.duration_ns) if silence else "",
            _moment(silence.start_ns)[11:] if silence else "",
            f"{stream.id_gaps:,}" if stream.id_gaps else "",
            f"{stream.ids_missing:,}" if stream.ids_missing else "",
            _backwards(stream),
        )
    return table


def _backwards(stream: StreamSummary) -> str:
    parts = []
    if stream.ids_backwards:
        parts.append(f"id {stream.ids_backwards:,}")
    if stream.events_backwards:
        parts.append(f"E {stream.events_backwards:,}")
    return ", ".join(parts)


def _damage_table(summary: TapeSummary) -> Table:
    table = Table(title="damage", title_justify="left")
    table.add_column("line", justify="right")
    table.add_column("reason")
    for damage in summary.damage[:_DAMAGE_SHOWN]:
        table.add_row(f"{damage.line:,}", Text(damage.reason))
    more = summary.damage_count - _DAMAGE_SHOWN
    if more > 0:
        table.caption = f"and {more:,} more"
    return table


def _counts(channels: dict[str, int]) -> str:
    return ", ".join(f"{channel} {count:,}" for channel, count in channels.items())


def _moment(t_ns: int) -> str:
    seconds, rest_ns = divmod(t_ns, 1_000_000_000)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError):
        return f"{t_ns} ns"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{rest_ns // 1_000_000:03d}"


def _duration(duration_ns: int) -> str:
    seconds = duration_ns / 1e9
    if seconds < 120:
        return f"{seconds:.3f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.1f} min"
    if seconds < 2 * 86_400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} d"
