"""Happenings to watch: one position's life, told in a line each."""

from decimal import Decimal
from typing import Any

from reactor.audit import (
    Audit,
    Decided,
    Happening,
    LinkChanged,
    OrderAnswered,
    OrderSent,
    PositionSeen,
    ProtectionChanged,
    Reconciled,
    Started,
)
from reactor.core.decisions import Exit, Reason
from reactor.watch.picture import Picture

T0_NS = 1_790_000_000_000_000_000
S = 10**9


class HandClock:
    """Time that moves when told to."""

    def __init__(self, t_ns: int = T0_NS) -> None:
        self.t_ns = t_ns

    def now_ns(self) -> int:
        return self.t_ns

    def forward(self, seconds: float) -> None:
        self.t_ns += round(seconds * 1e9)


class Watched:
    """A stream with a picture on it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.audit = Audit()
        self.picture = Picture()
        self.audit.watch(self.picture.see)

    def tell(self, *happenings: Happening, after_s: float = 0.0) -> None:
        self.clock.forward(after_s)
        for happening in happenings:
            self.audit.publish(happening, t_ns=self.clock.now_ns())
        assert self.audit.faults == 0, self.audit.last_fault


def started(**changes: Any) -> Started:
    values: dict[str, Any] = {
        "version": "1.2.3",
        "instance": "main",
        "environment": "mainnet",
        "mode": "live",
        "hedge": False,
        "restored_epochs": 0,
    }
    return Started(**values | changes)


def position(symbol: str = "BTCUSDT", **changes: Any) -> PositionSeen:
    values: dict[str, Any] = {
        "symbol": symbol,
        "side": "LONG",
        "managed": True,
        "quantity": Decimal("0.182"),
        "entry": Decimal(60000),
        "plan": "trend_follow",
        "epoch": 1,
        "opened_ns": T0_NS,
        "state": "watching",
        "price": Decimal(61800),
        "source": "mark stream",
        "age_ms": 400,
        "stop": Decimal(61182),
        "stop_kind": "trailing_stop",
        "r": Decimal(1200),
        "targets": ((Decimal(62000), Decimal("0.5"), True), (None, Decimal("0.5"), False)),
        "next_level": Decimal(62418),
        "next_what": "rung 2",
        "hard_stop": Decimal("60570.1"),
        "protection": "protected",
        "unrealized": Decimal("327.6"),
    }
    return PositionSeen(**values | changes)


def protection(
    symbol: str = "BTCUSDT", state: str = "protected", **changes: Any
) -> ProtectionChanged:
    values: dict[str, Any] = {"side": "LONG", "naked_seconds": 0.0, "blind_seconds": 0.0}
    return ProtectionChanged(symbol=symbol, state=state, **values | changes)


def an_exit(symbol: str = "BTCUSDT", **changes: Any) -> Decided:
    values: dict[str, Any] = {
        "t_ns": T0_NS,
        "tick": 7,
        "symbol": symbol,
        "side": "LONG",
        "epoch": 1,
        "number": 1,
        "attempt": 1,
        "order_id": "er-main-1",
        "full": True,
        "reasons": (Reason.TRAILING_STOP, Reason.TIME_STOP),
        "price": Decimal("61181.9"),
        "quantity": Decimal("0.182"),
        "remaining": Decimal(0),
        "stop": Decimal(61182),
    }
    return Decided(decision=Exit(**values | changes), id=f"{symbol}-LONG-1-1")


def order(client_id: str = "er-main-1", *, t_sent_ns: int, **changes: Any) -> OrderSent:
    values: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": "LONG",
        "order_id": client_id,
        "purpose": "exit",
        "over": "ws_api",
        "params": {},
        "t_event_ns": t_sent_ns - 5_000_000,
        "t_recv_ns": t_sent_ns - 60_000,
        "t_decided_ns": t_sent_ns - 40_000,
    }
    return OrderSent(client_id=client_id, t_sent_ns=t_sent_ns, **values | changes)


def answer(client_id: str = "er-main-1", outcome: str = "accepted") -> OrderAnswered:
    return OrderAnswered(
        symbol="BTCUSDT", side="LONG", client_id=client_id, outcome=outcome, filled=Decimal(0)
    )


def guarded(watched: Watched) -> None:
    """A session in which all is well."""
    watched.tell(
        started(),
        LinkChanged(stream="private", state="up"),
        LinkChanged(stream="market", state="up"),
        Reconciled(cause="start", differences=("position BTCUSDT LONG opened",), took_ms=81.5),
        protection(),
        position(),
    )
