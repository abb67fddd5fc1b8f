"""Logs: one line for each thing that happened and is worth one, on standard error, as JSON or as text.

Nothing is logged per tick. Secrets are masked in the finished line, wherever they came from. The records of
libraries (`logging`) come out the same way.
"""

import logging
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from reactor.audit import (
    AuditEvent,
    CommandTaken,
    Decided,
    Degraded,
    HardStopChanged,
    LinkChanged,
    Noted,
    OrderAnswered,
    OrderSent,
    PositionGone,
    PositionSeen,
    ProtectionChanged,
    Reconciled,
    RecordingChanged,
    SourceChanged,
    Started,
    Stopped,
)
from reactor.binance.redaction import redact_named
from reactor.clock import Clock
from reactor.config import LogConfig
from reactor.core.decisions import Alarm, StopMoved
from reactor.watch.log_lines import LogLines, Masks
from reactor.watch.picture import alarm_of
from reactor.watch.view import decision_text

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(
    config: LogConfig,
    *,
    clock: Clock,
    secrets: Iterable[str],
    write: Callable[[str], object] | None = None,
    is_terminal: bool | None = None,
) -> LogLines:
    """Sets up structlog and `logging` for the process.

    Args:
        config: the `[log]` table.
        clock: stamps the lines.
        secrets: what no line may hold.
        write: takes the finished lines, in a thread; standard error by default.
        is_terminal: whether a person reads along: text instead of JSON where `format` is auto.

    Returns:
        Where the lines go: to be closed at the end.
    """
    if is_terminal is None:
        is_terminal = write is None and sys.stderr.isatty()
    as_text = config.format == "text" or (config.format == "auto" and is_terminal)
    lines = LogLines(write or _to_stderr)
    masks = Masks(secrets)
    render = _text if as_text else _json

    def stamp(_: Any, method: str, event: EventDict) -> EventDict:
        t = datetime.fromtimestamp(clock.now_ns() / 1e9, tz=UTC)
        return {
            "time": t.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": "error" if method == "exception" else method,
            **event,
        }

    def finish(_: Any, __: str, event: EventDict) -> str:
        return masks.mask(redact_named(render(event)))

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            stamp,
            structlog.processors.format_exc_info,
            finish,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[config.level]),
        logger_factory=lambda *_: _Sink(lines),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [kept for kept in root.handlers if isinstance(kept, _Library)]:
        root.removeHandler(handler)
    root.addHandler(_Library())
    root.setLevel(max(logging.WARNING, LEVELS[config.level]))
    return lines


class AuditLog:
    """Logs what happened.

    Args:
        logger: takes the lines; the process's own by default.
    """

    def __init__(self, logger: FilteringBoundLogger | None = None) -> None:
        self._log: FilteringBoundLogger = logger or structlog.get_logger("reactor")
        self._stops: dict[tuple[str, str], str] = {}
        self._protections: dict[tuple[str, str], str] = {}

    def watch(self, event: AuditEvent) -> None:
        """Takes the next event of the stream."""
        what = event.what
        alarm = alarm_of(event)
        if alarm is not None:
            level = "info" if alarm.resolved else "warning"
            self._put(level, event, "alarm", symbol=alarm.symbol, kind=alarm.kind, text=alarm.text,
                      resolved=alarm.resolved)  # fmt: skip
        elif isinstance(what, Decided):
            self._decided(event, what)
        elif isinstance(what, OrderSent):
            # Not the parameters: the journal has them.
            took_us = (what.t_sent_ns - what.t_recv_ns) // 1000 if what.t_recv_ns else None
            self._put("info", event, "order_sent", symbol=what.symbol, side=what.side,
                      client_id=what.client_id, purpose=what.purpose, over=what.over,
                      tick_to_wire_us=took_us)  # fmt: skip
        elif not isinstance(what, PositionSeen):
            level = _level(what)
            if isinstance(what, ProtectionChanged):
                level = self._protection_level(what)
            fields = msgspec.to_builtins(what, str_keys=True)
            name = fields.pop("type")
            self._put(level, event, name, **fields)

    def _decided(self, event: AuditEvent, what: Decided) -> None:
        decision = what.decision
        level = "info"
        if isinstance(decision, StopMoved):
            # A trailing stop may move with every tick; what is worth a line is that its kind changed.
            key = (decision.symbol, decision.side)
            if self._stops.get(key) == decision.kind:
                level = "debug"
            self._stops[key] = decision.kind
        if isinstance(decision, Alarm):
            level = "warning"
        self._put(level, event, "decided", symbol=decision.symbol, side=decision.side, id=what.id,
                  kind=str(type(decision).__struct_config__.tag), text=decision_text(decision))  # fmt: skip

    def _protection_level(self, what: ProtectionChanged) -> str:
        """A new state is worth a line, the same one again is not; one that lasts is an alarm, which is a warning."""
        key = (what.symbol, what.side)
        same = self._protections.get(key) == what.state
        self._protections[key] = what.state
        return "debug" if same else "info"

    def _put(self, level: str, event: AuditEvent, name: str, **fields: Any) -> None:
        getattr(self._log, level)(name, number=event.number, **fields)


def _level(what: object) -> str:
    if isinstance(what, LinkChanged):
        return "info" if what.state == "up" else "warning"
    if isinstance(what, SourceChanged):
        return "info" if what.source == "stream" else "warning"
    if isinstance(what, Noted):
        return "warning"
    if isinstance(what, OrderAnswered):
        return "warning" if what.outcome in {"rejected", "unknown"} else "info"
    if isinstance(what, Reconciled):
        return "info" if what.differences else "debug"
    if isinstance(what, RecordingChanged | HardStopChanged | CommandTaken | Degraded):
        return "info"
    if isinstance(what, Started | Stopped | PositionGone):
        return "info"
    return "debug"


class _Sink:
    """What structlog hands finished lines to."""

    def __init__(self, lines: LogLines) -> None:
        self._lines = lines

    def msg(self, message: str) -> None:
        self._lines.put(message)

    debug = info = warning = error = critical = exception = msg


class _Library(logging.Handler):
    """Libraries' records, as lines like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        method = "error" if record.levelno >= logging.ERROR else "warning"
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        try:
            getattr(structlog.get_logger(), method)(record.getMessage(), **fields)
        except Exception:  # noqa: BLE001 - a library's record that cannot be formatted
            self.handleError(record)


def _json(event: EventDict) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _text(event: EventDict) -> str:
    time, level, name = event.pop("time"), event.pop("level"), event.pop("event")
    trace = event.pop("exception", None)
    fields = " ".join(f"{key}={value}" for key, value in event.items() if value not in {None, ""})
    line = f"{time} {level:7} {name} {fields}".rstrip()
    line = "".join(char if char.isprintable() else "?" for char in line)
    return f"{line}\n{trace}" if trace else line


def _to_stderr(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()
