"""`/metrics`: the picture as Prometheus sees it, made when it is asked for from plain integers.

`docs/operations.md` has every name with its meaning; a test compares the two.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from reactor.audit import Audit
from reactor.core.decisions import Side
from reactor.watch.delivery import Deliveries
from reactor.watch.health import (
    ReadyLimits,
    position_troubles,
    price_age_ms,
    protection_now,
    readiness,
)
from reactor.watch.histogram import Histogram
from reactor.watch.picture import Picture
from reactor.watch.pulse import Pulse
from reactor.watch.view import alarms, hard_stop_of, r_multiple

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PARTS: Final = ("journal", "tape", "clock", "budget")

_POSITION: Final = ("symbol", "side")


class Metrics:
    """Reads the picture for a scrape.

    Args:
        picture: of the session.
        limits: from when on it is not ready.
        audit: whose watchers' faults are told.
        deliveries: of alarms and heartbeats, where there are any.
        pulse: of the loop, where it is taken.
    """

    def __init__(
        self,
        picture: Picture,
        limits: ReadyLimits,
        *,
        audit: Audit | None = None,
        deliveries: Deliveries | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self._picture = picture
        self._limits = limits
        self._audit = audit
        self._deliveries = deliveries or Deliveries()
        self._pulse = pulse
        self._process = ProcessCollector(registry=CollectorRegistry())

    def families(self, *, now_ns: int) -> list[Metric]:
        """Everything at one instant, as values that another thread may write out."""
        return [
            *self._session(now_ns),
            *self._positions(now_ns),
            *self._protection(),
            *self._decisions_and_orders(),
            *self._streams(now_ns),
            *self._noted(),
            *self._alarms(now_ns),
            *self._parts(),
        ]

    def exposition(self, families: Iterable[Metric]) -> bytes:
        """The text of a scrape, the process's own figures with it. May run in any thread."""
        return generate_latest(_Fixed([*families, *self._process.collect()]))

    def _session(self, now_ns: int) -> Iterator[Metric]:
        picture = self._picture
        info = GaugeMetricFamily(
            "reactor_info",
            "What runs: always 1.",
            labels=("version", "instance", "environment", "mode", "hedge"),
        )
        if picture.started is not None:
            what = picture.started
            labels = (what.version, what.instance, what.environment, what.mode)
            info.add_metric((*labels, str(what.hedge).lower()), 1)
        yield info
        yield _gauge(
            "reactor_started_time_seconds", "When the process started.", picture.started_ns / 1e9
        )
        state = readiness(picture, self._limits, now_ns=now_ns)
        yield _gauge("reactor_ready", "Whether everything managed is guarded.", int(state.ready))
        yield _counter("reactor_events", "Audit events.", picture.number)
        faults = self._audit.faults if self._audit else 0
        yield _counter("reactor_watcher_faults", "Errors in what only watches.", faults)
        yield _counter("reactor_picture_overflows", "Times a table was full.", picture.overflows)
        late = Histogram() if self._pulse is None else self._pulse.lateness
        family = HistogramMetricFamily("reactor_loop_late_seconds", "How late the loop woke.")
        _add_histogram(family, (), late)
        yield family

    def _positions(self, now_ns: int) -> Iterator[Metric]:
        age = _labelled("reactor_position_price_age_seconds", "Age of its trigger price.")
        price = _labelled("reactor_position_price", "Its last trigger price.")
        entry = _labelled("reactor_position_entry_price", "Its average entry price.")
        stop = _labelled("reactor_position_stop_price", "Where its stop stands.", "kind")
        hard_stop = _labelled("reactor_position_hard_stop_price", "Where the exchange's stop is.")
        quantity = _labelled("reactor_position_quantity", "How much is open.")
        r_multiple_of = _labelled("reactor_position_r_multiple", "Result in initial risks.")
        unrealized = _labelled("reactor_position_unrealized_usdt", "Unrealized result.")
        paused = _labelled("reactor_position_paused", "Whether an operator paused it.")
        troubled = _labelled("reactor_position_troubled", "Whether it lacks something.")
        protected = _labelled("reactor_position_protection", "1 for its state.", "state")
        counted = {True: 0, False: 0}
        for key, seen in self._picture.positions.items():
            told = seen.position
            counted[told.managed] += 1
            _add(quantity, key, told.quantity)
            _add(entry, key, told.entry)
            if not told.managed:
                continue
            age_ms = price_age_ms(seen, now_ns=now_ns)
            # A price that was never heard is infinitely old: no rule on the age must miss it.
            age.add_metric(key, float("inf") if age_ms is None else age_ms / 1000)
            _add(price, key, told.price)
            _add(stop, (*key, told.stop_kind), told.stop)
            _add(hard_stop, key, hard_stop_of(self._picture, key))
            _add(r_multiple_of, key, r_multiple(told))
            _add(unrealized, key, told.unrealized)
            paused.add_metric(key, int(told.paused))
            troubles = position_troubles(self._picture, key, self._limits, now_ns=now_ns)
            troubled.add_metric(key, int(bool(troubles)))
            state, _ = protection_now(self._picture, key, now_ns=now_ns)
            protected.add_metric((*key, state or "unproved"), 1)
        number = GaugeMetricFamily("reactor_positions", "Open positions.", labels=("managed",))
        for managed, positions in counted.items():
            number.add_metric((str(managed).lower(),), positions)
        yield number
        yield from (age, price, entry, stop, hard_stop, quantity, r_multiple_of, unrealized, paused)
        yield from (troubled, protected)

    def _protection(self) -> Iterator[Metric]:
        naked = CounterMetricFamily(
            "reactor_naked_seconds", "Time without a proved hard stop.", labels=_POSITION
        )
        blind = CounterMetricFamily(
            "reactor_blind_seconds", "Time without a fresh price.", labels=_POSITION
        )
        for key, standing in self._picture.protection.items():
            naked.add_metric(key, standing.naked_total)
            blind.add_metric(key, standing.blind_total)
        yield from (naked, blind)
        yield _counted("reactor_hard_stops", "Hard stops by state.", ("state",), {
            (state,): number for state, number in self._picture.hard_stops.items()
        })  # fmt: skip

    def _decisions_and_orders(self) -> Iterator[Metric]:
        picture = self._picture
        yield _counted("reactor_decisions", "Decisions.", ("kind", "reason"), picture.decided)
        yield _counted(
            "reactor_orders_sent",
            "Order requests that left.",
            ("purpose", "over"),
            picture.orders_sent,
        )
        outcomes = {(outcome,): number for outcome, number in picture.orders.items()}
        yield _counted("reactor_orders", "What became of orders.", ("outcome",), outcomes)
        latency = HistogramMetricFamily(
            "reactor_order_latency_seconds",
            "An order's way, step by step.",
            labels=("step", "symbol", "purpose"),
        )
        for key, histogram in picture.latency.items():
            _add_histogram(latency, key, histogram)
        yield latency
        commands = {(command,): number for command, number in picture.commands.items()}
        yield _counted("reactor_commands", "Operators' commands.", ("command",), commands)

    def _streams(self, now_ns: int) -> Iterator[Metric]:
        picture = self._picture
        up = GaugeMetricFamily("reactor_link_up", "Whether a socket is up.", labels=("stream",))
        for stream, link in picture.links.items():
            up.add_metric((stream,), int(link.state == "up"))
        yield up
        yield _counted(
            "reactor_link_changes", "Changes of sockets.", ("stream", "state"), picture.link_changes
        )
        source = GaugeMetricFamily(
            "reactor_source", "1 for where prices come from.", labels=("symbol", "source")
        )
        # A symbol whose source never changed has said so with its position alone: "mark stream".
        drives = {
            symbol: seen.position.source.rpartition(" ")[2]
            for (symbol, _), seen in picture.positions.items()
            if seen.position.managed and seen.position.source
        }
        drives |= {symbol: state.source for symbol, state in picture.sources.items()}
        for symbol, name in drives.items():
            source.add_metric((symbol, name), 1)
        yield source
        causes = {(cause,): number for cause, number in picture.reconciled.items()}
        yield _counted(
            "reactor_reconciliations", "Comparisons with the exchange.", ("cause",), causes
        )
        yield _counter(
            "reactor_reconciliation_differences", "What they found.", picture.differences
        )
        last = picture.reconciliation
        age_s = float("inf") if last is None else max(0, now_ns - last.t_ns) / 1e9
        yield _gauge("reactor_reconciliation_age_seconds", "Since the last one.", age_s)

    def _noted(self) -> Iterator[Metric]:
        kinds = {(kind,): number for kind, number in self._picture.noted.items()}
        yield _counted("reactor_notes", "Input that could not be used.", ("kind",), kinds)

    def _alarms(self, now_ns: int) -> Iterator[Metric]:
        picture, deliveries = self._picture, self._deliveries
        kinds = {(kind,): number for kind, number in picture.alarms_raised.items()}
        yield _counted("reactor_alarms", "Alarms raised.", ("kind",), kinds)
        yield _gauge(
            "reactor_alarms_active",
            "Alarms of the last hour that nobody said to be over.",
            len(alarms(picture, now_ns=now_ns)),
        )
        told = {(channel, "told"): number for channel, number in deliveries.told.items()}
        failed = {(channel, "failed"): number for channel, number in deliveries.failed.items()}
        yield _counted(
            "reactor_alarm_deliveries", "Messages to people.", ("channel", "outcome"), told | failed
        )
        yield _counter("reactor_alarms_suppressed", "Repeats held back.", deliveries.suppressed)
        yield _counter("reactor_alarms_dropped", "Messages with no room.", deliveries.dropped)
        beats = {(outcome,): number for outcome, number in deliveries.beats.items()}
        yield _counted("reactor_heartbeats", "Dead-man's switch.", ("outcome",), beats)

    def _parts(self) -> Iterator[Metric]:
        degraded = self._picture.degraded
        for part in PARTS:
            yield _gauge(
                f"reactor_{part}_degraded",
                f"Whether the {part} works less well.",
                int(part in degraded),
            )
        recording = self._picture.recording
        is_on = recording is not None and recording.state != "stopped"
        yield _gauge("reactor_recording", "Whether a tape is written.", int(is_on))


class _Fixed(Collector):
    """Families that are there already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)


def _counted(
    name: str,
    text: str,
    labels: tuple[str, ...],
    counts: dict[tuple[str, str], int] | dict[tuple[str], int],
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, number in counts.items():
        family.add_metric(key, number)
    return family


def _labelled(name: str, text: str, *more: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=(*_POSITION, *more))


def _add(family: GaugeMetricFamily, key: tuple[str, ...] | tuple[str, Side], value: object) -> None:
    """A decimal becomes a float here, where it is only looked at."""
    if value is not None:
        family.add_metric(key, float(str(value)))


def _add_histogram(
    family: HistogramMetricFamily, key: tuple[str, ...], histogram: Histogram
) -> None:
    buckets = [(repr(bound_ns / 1e9), float(number)) for bound_ns, number in histogram.cumulative()]
    buckets.append(("+Inf", float(histogram.count)))
    family.add_metric(key, buckets, sum_value=histogram.sum_ns / 1e9)
