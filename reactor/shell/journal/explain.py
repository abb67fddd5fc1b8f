"""Everything that led to one decision, and what became of it."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

from reactor.core.exact import text as plain
from reactor.errors import BadInputError
from reactor.shell.journal.policy_words import (
    last_regime,
    policy_because,
    policy_headline,
    regime_because,
    regime_headline,
)
from reactor.shell.journal.reading import SECOND_NS, Reader, Record, clock_text, span_text

AROUND_NS = 60 * SECOND_NS
"""How long before and after a decision other happenings are told of."""


def explain(reader: Reader, decision_id: str) -> Record:
    """Collects what the journal knows of a decision.

    Args:
        reader: of the journal.
        decision_id: as decisions are listed (`BTCUSDT-LONG-3-1`), or the client id of an order of it.

    Raises:
        BadInputError: there is no such decision.
    """
    found = reader.rows("SELECT * FROM decisions WHERE id = ? ORDER BY row DESC", decision_id)
    if not found:
        found = reader.rows(
            "SELECT * FROM decisions WHERE kind = 'exit' AND body ->> '$.order_id' IN"
            " (SELECT order_id FROM orders WHERE client_id = ? UNION SELECT ?) ORDER BY row DESC",
            decision_id,
            decision_id,
        )
    if not found:
        raise BadInputError(f"no decision {decision_id} in this journal{_known(reader)}")
    decision = found[0]
    order_ids = [row["body"]["order_id"] for row in found if "order_id" in row["body"]]
    orders = [
        order
        for order_id in dict.fromkeys(reversed(order_ids))
        for order in reader.rows("SELECT * FROM orders WHERE order_id = ? ORDER BY row", order_id)
    ]
    outcomes = [
        outcome
        for client_id in dict.fromkeys([*(o["client_id"] for o in orders), *order_ids])
        for outcome in reader.rows(
            "SELECT * FROM outcomes WHERE client_id = ? ORDER BY row", client_id
        )
    ]
    epoch = reader.row(
        "SELECT * FROM epochs WHERE symbol = ? AND side = ? AND epoch = ?",
        decision["symbol"],
        decision["side"],
        decision["epoch"],
    )
    around = reader.rows(
        "SELECT * FROM happenings WHERE t_ns BETWEEN ? AND ? AND symbol IN (?, '') ORDER BY row",
        decision["t_ns"] - AROUND_NS,
        decision["t_ns"] + AROUND_NS,
        decision["symbol"],
    )
    state = None if epoch is None else epoch.pop("state")
    regime = last_regime(reader, decision["symbol"], until_ns=decision["t_ns"])
    return {
        "id": decision["id"],
        "decision": decision["body"],
        "levels": decision["levels"],
        "seen": decision["seen"],
        "plan": None if state is None else _without_nulls(state["plan"]),
        "tightened": [] if state is None else [one["name"] for one in state["rules"]["tightened"]],
        "regime": regime,
        "epoch": epoch,
        "orders": orders,
        "outcomes": outcomes,
        "attempts": len(found),
        "around": around,
    }


def _known(reader: Reader) -> str:
    last = reader.row("SELECT id FROM decisions WHERE kind = 'exit' ORDER BY row DESC LIMIT 1")
    return "; it holds no exit at all yet" if last is None else f"; the last exit is {last['id']}"


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


# In words -----------------------------------------------------------------------------------------


def number(value: Any) -> str:
    """A decimal's text as people write it; `-` where there is none."""
    return "-" if value is None else plain(Decimal(value))


def in_words(found: Record) -> list[str]:
    """The lines that a person reads."""
    decision, levels = found["decision"], found["levels"]
    side = f" {decision['side']}" if decision.get("side") else ""
    lines = [f"{decision['symbol']}{side}: {headline(decision)}", ""]
    lines.append(f"id         {found['id']}")
    lines.append(f"decided    {clock_text(decision['t_ns'])} UTC, on tick {decision['tick']}")
    lines += [f"because    {line}" for line in _because(found)]
    lines += _levels(levels, found["seen"])
    lines += _epoch(found["epoch"], found["plan"], found["tightened"])
    lines += _orders(found["orders"], found["outcomes"])
    if found["around"]:
        lines += ["", "within a minute of it:"]
        lines += [f"  {happening_line(row)}" for row in found["around"]]
    return lines


def headline(decision: Record) -> str:
    """A decision in one phrase."""
    match decision["type"]:
        case "exit":
            left = number(decision["remaining"])
            return (
                f"close {number(decision['quantity'])} for {', '.join(decision['reasons'])} at"
                f" {number(decision['price'])}, leaving {left}"
            )
        case "stop":
            return f"stop to {number(decision['stop'])} ({decision['kind']})"
        case "opened":
            return (
                f"guarded: {number(decision['quantity'])} @ {number(decision['entry'])} by"
                f" {decision['plan']}, stop {number(decision['stop'])}"
            )
        case "closed":
            return f"over, {decision['reason']}, realized {number(decision['realized'])}"
        case "held_back":
            return f"{decision['what']} {number(decision['level'])} held back: it would be at or through the price"
        case "alarm":
            return f"alarm: {decision['what']}"
        case "ask":
            return f"asked what became of {decision['order_id']}"
        case "policy":
            return policy_headline(decision)
        case "regime":
            return regime_headline(decision)
        case kind:
            return str(kind).replace("_", " ")


def _because(found: Record) -> list[str]:
    decision, levels, plan = found["decision"], found["levels"], found["plan"]
    if decision["type"] == "policy":
        return policy_because(decision, found["regime"])
    if decision["type"] == "regime":
        return regime_because(decision)
    if decision["type"] != "exit":
        return []
    price, stop = number(decision["price"]), number(decision["stop"])
    said = []
    for reason in decision["reasons"]:
        if reason in {"stop_loss", "break_even", "trailing_stop"}:
            said.append(f"price {price} is at or through the stop {stop} ({reason})")
        elif reason == "take_profit":
            reached = [] if levels is None else _rungs_reached(decision, levels)
            said.append(f"price {price} reached {' and '.join(reached) or 'a rung'}")
        elif reason == "harvest":
            said.append(f"price {price} reached the next profit step")
        elif reason == "time_stop":
            seconds = ((plan or {}).get("time_stop") or {}).get("seconds", "?")
            said.append(f"nothing was taken within {seconds} s of the opening")
        elif reason == "liquidation_guard":
            at = "-" if levels is None else number(levels["liquidation_price"])
            said.append(f"price {price} came too near the liquidation price {at}")
        elif reason == "loss_guard":
            said.append(f"at {price} the loss is the plan's share of the margin")
        else:
            said.append(f"{reason}: somebody asked for it")
    if decision["attempt"]:
        said.append(f"sent again: attempt {decision['attempt'] + 1} at the same close")
    return said


def _rungs_reached(decision: Record, levels: Record) -> list[str]:
    sign = 1 if decision["side"] == "LONG" else -1
    price = Decimal(decision["price"])
    return [
        f"rung {place} at {number(at)}"
        for place, (at, _, taken, _) in enumerate(levels["rungs"], 1)
        if at is not None and not taken and sign * (price - Decimal(at)) >= 0
    ]


def _levels(levels: Record | None, seen: Record | None) -> list[str]:
    if levels is None:
        return []
    held = "" if levels["stop_held"] is None else f", {number(levels['stop_held'])} held back"
    lines = [
        "",
        "before it, as last written:",
        f"  position   {number(levels['quantity'])} of {number(levels['initial_quantity'])}"
        f" @ {number(levels['entry'])}, orders {levels['orders']}"
        + (", paused" if levels["paused"] else ""),
        f"  stop       {number(levels['stop'])} ({levels['stop_kind']}){held}",
        f"  R          {number(levels['r'])}, ATR {number(levels['atr'])} now,"
        f" {number(levels['level_atr'])} for levels"
        + (", high volatility" if levels["high_volatility"] else ""),
        f"  last price {number(levels['price'])}, peak {number(levels['peak'])}",
    ]
    for place, (at, close, taken, waiting) in enumerate(levels["rungs"], 1):
        how = (
            "taken" if taken else "waits" if waiting is None else f"held back to {number(waiting)}"
        )
        lines.append(f"  rung {place}     {number(at)} closes {number(close)}: {how}")
    if seen is not None and seen.get("price") is not None:
        lines.append(f"  source     {seen['source']}, {seen['age_ms']} ms old when last shown")
    return lines


def _epoch(epoch: Record | None, plan: Record | None, tightened: list[str]) -> list[str]:
    if epoch is None:
        return []
    end = "open"
    if epoch["ended_ns"] is not None:
        end = f"ended {clock_text(epoch['ended_ns'])} by {epoch['cause']}"
        end += f", realized {number(epoch['realized'])}, {number_short(epoch['r_multiple'])} R"
    lines = ["", f"epoch      {epoch['epoch']}, opened {clock_text(epoch['opened_ns'])}, {end}"]
    if plan is not None:
        lines.append(f"plan       {plan['name']}")
        lines += [f"  {key:<10} {_flat(value)}" for key, value in plan.items() if key != "name"]
    if tightened:
        lines.append(f"tightened  by {', '.join(tightened)}, as of now")
    return lines


def number_short(value: Any) -> str:
    """A quotient to three places."""
    return "-" if value is None else f"{Decimal(value):.3f}"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(_flat(item) for item in value)
    return str(value)


def _orders(orders: list[Record], outcomes: list[Record]) -> list[str]:
    lines = []
    for order in orders:
        times = [(name, order[f"t_{name}_ns"]) for name in ("event", "recv", "decided", "sent")]
        known = [(name, t_ns) for name, t_ns in times if t_ns]
        steps = [
            f"{name} +{span_text(t_ns - before)}" for (_, before), (name, t_ns) in pairwise(known)
        ]
        lines += ["", f"order      {order['client_id']} over {order['over']} ({order['purpose']})"]
        lines.append(f"  params     {_flat(order['params'])}")
        if known:
            lines.append(
                f"  times      {known[0][0]} {clock_text(known[0][1])}, {', '.join(steps)}"
            )
        for outcome in outcomes:
            if outcome["client_id"] == order["client_id"]:
                after = outcome["t_ns"] - (order["t_sent_ns"] or order["t_ns"])
                lines.append(f"  outcome    {_outcome(outcome)} after {span_text(after)}")
    sent = {order["client_id"] for order in orders}
    lines += [
        f"outcome    {_outcome(outcome)} at {clock_text(outcome['t_ns'])}"
        for outcome in outcomes
        if outcome["client_id"] not in sent
    ]
    return lines


def _outcome(outcome: Record) -> str:
    line = f"{outcome['outcome']}, filled {number(outcome['filled'])}"
    if outcome["average_price"] is not None:
        line += f" @ {number(outcome['average_price'])}"
    if outcome["code"] is not None:
        line += f", code {outcome['code']}"
    return line + (f", {outcome['text']}" if outcome["text"] else "")


def happening_line(row: Record) -> str:
    """A happening in one line."""
    body = {key: value for key, value in row["body"].items() if value not in ("", None, [], False)}
    body.pop("type", None)
    where = f" {body.pop('symbol')}" if body.get("symbol") else ""
    return f"{clock_text(row['t_ns'])} {row['kind']}{where}: {_flat(body)}"
