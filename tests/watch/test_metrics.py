"""What is exported is what the document says, and says what happened."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from watched import T0_NS, Watched, an_exit, answer, guarded, order, position, protection

from reactor.audit import (
    AlarmRaised,
    CommandTaken,
    Degraded,
    HardStopChanged,
    LinkChanged,
    Noted,
    SourceChanged,
)
from reactor.watch.delivery import Deliveries
from reactor.watch.health import ReadyLimits
from reactor.watch.metrics import Metrics
from reactor.watch.pulse import Pulse

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
ROW = re.compile(
    r"^\| `(reactor_[a-z_]+)(?:\{([a-z_,]+)\})?` \| (gauge|counter|histogram) \|", re.MULTILINE
)


def busy() -> Watched:
    watched = Watched()
    guarded(watched)
    watched.tell(
        position("ETHUSDT", price=None, age_ms=None, managed=True),
        protection("ETHUSDT", state="naked", naked_seconds=2.5, blind_seconds=1.0),
        SourceChanged(symbol="ETHUSDT", source="rest"),
        HardStopChanged(symbol="BTCUSDT", side="LONG", client_id="x", state="confirmed"),
        an_exit(),
        order(t_sent_ns=T0_NS + 100_000),
        LinkChanged(stream="order", state="down"),
        CommandTaken(command="pause", symbol="BTCUSDT", side="LONG"),
        AlarmRaised(kind='na"ked', text="x"),
        Degraded(part="journal", degraded=True),
        Noted(kind="damage", text="no JSON", count=10),
    )
    watched.clock.forward(0.0021)
    watched.tell(answer())
    return watched


def scraped(watched: Watched) -> str:
    metrics = Metrics(
        watched.picture,
        ReadyLimits(),
        audit=watched.audit,
        deliveries=Deliveries(told={"webhook": 2}, failed={"command": 1}, beats={"sent": 9}),
        pulse=Pulse(watched.clock),
    )
    return metrics.exposition(metrics.families(now_ns=watched.clock.now_ns())).decode()


def test_every_name_is_documented_with_its_labels_and_its_type() -> None:
    documented = {
        name: (kind, frozenset(labels.split(",")) if labels else frozenset())
        for name, labels, kind in ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    }
    exported = {}
    for family in text_string_to_metric_families(scraped(busy())):
        if family.name.startswith("reactor_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            exported[name] = (family.type, frozenset(labels))
    assert exported == documented


def test_the_values() -> None:
    lines = set(scraped(busy()).splitlines())
    for line in (
        'reactor_position_price_age_seconds{side="LONG",symbol="BTCUSDT"} 0.402',
        'reactor_position_price_age_seconds{side="LONG",symbol="ETHUSDT"} +Inf',
        'reactor_naked_seconds_total{side="LONG",symbol="ETHUSDT"} 2.5',
        'reactor_blind_seconds_total{side="LONG",symbol="ETHUSDT"} 1.0',
        'reactor_decisions_total{kind="exit",reason="trailing_stop"} 1.0',
        'reactor_orders_total{outcome="accepted"} 1.0',
        'reactor_link_up{stream="order"} 0.0',
        'reactor_link_up{stream="market"} 1.0',
        'reactor_source{source="rest",symbol="ETHUSDT"} 1.0',
        'reactor_source{source="stream",symbol="BTCUSDT"} 1.0',
        'reactor_alarms_total{kind="na\\"ked"} 1.0',
        "reactor_journal_degraded 1.0",
        "reactor_ready 0.0",
        'reactor_positions{managed="true"} 2.0',
        'reactor_position_protection{side="LONG",state="naked",symbol="ETHUSDT"} 1.0',
        'reactor_order_latency_seconds_bucket{le="6.5536e-05",purpose="exit",step="tick_to_wire",symbol="BTCUSDT"} 1.0',
        'reactor_order_latency_seconds_bucket{le="3.2768e-05",purpose="exit",step="tick_to_wire",symbol="BTCUSDT"} 0.0',
        'reactor_order_latency_seconds_sum{purpose="exit",step="wire_to_ack",symbol="BTCUSDT"} 0.002',
        'reactor_alarm_deliveries_total{channel="command",outcome="failed"} 1.0',
        'reactor_heartbeats_total{outcome="sent"} 9.0',
    ):
        assert line in lines, line
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


def test_nothing_heard_is_exported_as_such() -> None:
    lines = set(scraped(Watched()).splitlines())
    assert {"reactor_ready 0.0", "reactor_reconciliation_age_seconds +Inf"} <= lines
