"""REST: the table of endpoints, who may call them, what they cost, and how a request is answered.

``answer(exchange, request)`` is the whole of it: a request as a value in, a response as a value out.
The WebSocket API goes through the same table (:mod:`reactor.sim.ws_api`).
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
import orjson

from reactor.sim import faults, signatures
from reactor.sim.account import Account
from reactor.sim.model import Credential
from reactor.sim.parameters import Parameters
from reactor.sim.refusals import Refusal, missing

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange

RECV_WINDOW_MS = 5000
RECV_WINDOW_MS_MAX = 60_000
AHEAD_MS_MAX = 1000
KEY_LENGTHS = range(1, 513)
THROTTLED = frozenset({"/fapi/v1/order", "/fapi/v1/order/test", "/fapi/v1/batchOrders"})


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request, raw as it came."""

    method: str
    path: str
    query: str = ""
    body: str = ""
    headers: Mapping[str, str] = {}
    ip: str = "127.0.0.1"


class Response(msgspec.Struct, kw_only=True):
    """One HTTP response, and what a fault makes of it.

    ``delay_ms`` holds it back. ``drop`` is ``close`` or ``reset`` instead of an answer, ``hang`` for no
    answer at all.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = {}
    delay_ms: int = 0
    drop: str = ""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler gets. ``account`` is the caller's, or one as it was a while ago (stale)."""

    exchange: "Exchange"
    account: Account
    params: Parameters
    ip: str


Handler = Callable[[Call], Any]
Weight = int | Callable[[Parameters], int]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table.

    Attributes:
        weight: Request weight, or how it follows from the parameters.
        security: ``none``, ``key`` (only the header) or ``signed``.
        orders: Order count it costs, (10 s, 1 min), or the name of what counts them.
        trade: Whether the key needs the right to trade.
    """

    handler: Handler
    weight: Weight = 1
    security: str = "signed"
    orders: tuple[int, int] = (0, 0)
    trade: bool = False


def endpoints() -> Mapping[tuple[str, str], Endpoint]:
    """Return the table, (method, path) to endpoint."""
    from reactor.sim import (  # noqa: PLC0415 -- they use Call
        rest_account,
        rest_history,
        rest_market,
        rest_trade,
    )

    return {
        **rest_market.ENDPOINTS,
        **rest_history.ENDPOINTS,
        **rest_account.ENDPOINTS,
        **rest_trade.ENDPOINTS,
    }


_TABLE: dict[tuple[str, str], Endpoint] = {}


def table() -> Mapping[tuple[str, str], Endpoint]:
    """Return the table, made once."""
    if not _TABLE:
        _TABLE.update(endpoints())
    return _TABLE


def answer(exchange: "Exchange", request: Request) -> Response:
    """Answer a request; every refusal is an answer too."""
    response = Response()
    account_name = ""
    try:
        refuse_maintenance(exchange)
        exchange.rates.check_ban(request.ip, exchange.now_ms)
        endpoint = table().get((request.method, request.path))
        if endpoint is None:
            raise _unknown(request)
        params = _parameters(request)
        weight = endpoint.weight if isinstance(endpoint.weight, int) else endpoint.weight(params)
        exchange.rates.spend_weight(request.ip, weight, exchange.now_ms)
        credential = _who(exchange, endpoint, request)
        account_name = credential.account if credential else ""
        facts = request_facts(request.method, request.path, params, account_name, "rest")
        rule = (
            exchange.faults.take(faults.request_kinds(request.method), facts, exchange.now_ms)
            if exchange.faults
            else None
        )
        before(exchange, rule, response, exempt=exempt_from_overload(facts))
        if endpoint.security == "signed" and credential is not None:
            _check_signature(credential, request)
            check_time(exchange, params)
        run = runner(exchange, endpoint, params, credential, request.ip, rule)
        response.body = orjson.dumps(after(rule, run))
        _not_json(rule, response)
    except Refusal as refusal:
        response.status = refusal.status
        response.body = orjson.dumps(refusal.body())
        response.headers.update(refusal.headers)
    response.headers["X-MBX-USED-WEIGHT-1M"] = str(
        exchange.rates.used_weight(request.ip, exchange.now_ms)
    )
    if account_name:
        in_ten, in_minute = exchange.rates.order_counts(account_name, exchange.now_ms)
        if request.method in {"POST", "PUT"}:
            response.headers["X-MBX-ORDER-COUNT-10S"] = str(in_ten)
            response.headers["X-MBX-ORDER-COUNT-1M"] = str(in_minute)
    return response


def _unknown(request: Request) -> Refusal:
    return Refusal(-5000, path=request.path[:200], method=request.method[:20])


def refuse_maintenance(exchange: "Exchange") -> None:
    """Refuse everything while the exchange is down for maintenance."""
    if exchange.now_ms < exchange.maintenance_until_ms:
        raise Refusal(-1001, status=503, text="Service Unavailable.")


def request_facts(
    method: str, path: str, params: Parameters, account: str, channel: str
) -> dict[str, str]:
    """Return what fault rules can be matched against."""
    return {
        **params.as_dict(),
        "channel": channel,
        "method": method,
        "path": path,
        "account": account,
    }


def _parameters(request: Request) -> Parameters:
    """Read query string and form body; where a name is in both, the query string wins."""
    values = dict(parse_qsl(request.body, keep_blank_values=True)) if request.body else {}
    values.update(parse_qsl(request.query, keep_blank_values=True))
    return Parameters(values)


def _who(exchange: "Exchange", endpoint: Endpoint, request: Request) -> Credential | None:
    if endpoint.security == "none":
        return None
    return credential_of(exchange, request.headers.get("x-mbx-apikey"), trade=endpoint.trade)


def credential_of(exchange: "Exchange", api_key: str | None, *, trade: bool) -> Credential:
    """Return the credential of an API key.

    Raises:
        Refusal: -2014 no readable key, -2015 unknown, or not allowed to trade.
    """
    if not api_key or len(api_key) not in KEY_LENGTHS or not api_key.isascii():
        raise Refusal(-2014)
    credential = exchange.credentials.get(api_key)
    if credential is None or (trade and not credential.can_trade):
        raise Refusal(-2015)
    return credential


def _check_signature(credential: Credential, request: Request) -> None:
    query, in_query = signatures.split_signature(request.query)
    body, in_body = signatures.split_signature(request.body)
    signature = in_query if in_query is not None else in_body
    if not signature:
        raise missing("signature")
    if not signatures.verify(credential, query + body, signature):
        raise Refusal(-1022)


def check_time(exchange: "Exchange", params: Parameters) -> None:
    """Hold timestamp and recvWindow against the exchange's time.

    Raises:
        Refusal: -1102 without timestamp, -1021 outside the window.
    """
    if not params.as_dict().get("timestamp"):
        raise missing("timestamp")
    timestamp = params.integer("timestamp") or 0
    window = params.integer("recvWindow")
    window = RECV_WINDOW_MS if window is None else window
    if window > RECV_WINDOW_MS_MAX:
        raise Refusal(-1131)
    now_ms = exchange.server_ms
    if timestamp >= now_ms + AHEAD_MS_MAX:
        raise Refusal(
            -1021, text="Timestamp for this request was 1000ms ahead of the server's time."
        )
    if now_ms - timestamp > window:
        raise Refusal(-1021)
    if exchange.faults:
        rule = exchange.faults.take(
            frozenset({"engine_delay"}), {"channel": "engine", **params.as_dict()}, exchange.now_ms
        )
        if rule is not None and timestamp + window < now_ms + exchange.faults.span_ms(rule):
            raise Refusal(-5028)


def exempt_from_overload(facts: Mapping[str, str]) -> bool:
    """Tell whether an overloaded exchange still takes a request: only new orders can be turned away.

    Orders that can but close something pass: closePosition, BOTH with reduceOnly, LONG with SELL, SHORT
    with BUY. Source: binance.md §6, -1008.
    """
    if facts.get("method") not in {"POST", "order.place"} or facts.get("path") not in THROTTLED:
        return True
    side, position = facts.get("side"), facts.get("positionSide", "BOTH")
    return (
        facts.get("closePosition") == "true"
        or (position == "BOTH" and facts.get("reduceOnly") == "true")
        or (position, side) in {("LONG", "SELL"), ("SHORT", "BUY")}
    )


def before(
    exchange: "Exchange",
    rule: faults.FaultRule | None,
    response: Response,
    *,
    exempt: bool = False,
) -> None:
    """Apply what a fault does before a request is executed.

    Args:
        exchange: The exchange.
        rule: The fault, if there is one.
        response: What is held back or dropped.
        exempt: Whether the request passes an overload.
    """
    if rule is None:
        return
    if rule.do == "latency" or rule.ms:
        response.delay_ms = exchange.faults.span_ms(rule)
    if rule.do == "error":
        raise fault_refusal(rule)
    if rule.do == "overload" and not exempt:
        raise Refusal(-1008)
    if rule.do in {"unknown_lost", "lost"}:
        raise Refusal(rule.code or -1007, status=rule.status or None)
    if rule.do in {"drop", "hang"}:
        response.drop = "hang" if rule.do == "hang" else rule.how
        if not rule.executed:
            raise Refusal(-1007)


def after(rule: faults.FaultRule | None, run: Callable[[], Any]) -> Any:
    """Execute, then apply what a fault does afterwards."""
    result = run()
    if rule is not None:
        if rule.do == "unknown_executed":
            raise Refusal(rule.code or -1007, status=rule.status or None)
        if rule.do == "error_after":
            raise fault_refusal(rule)
    return result


def fault_refusal(rule: faults.FaultRule) -> Refusal:
    """Return the refusal that a fault rule asks for."""
    if rule.code in {0, -1000} and rule.status >= 500:
        unknown = "Unknown error, please check your request or try again later."
        return Refusal(-1000, status=rule.status, text=rule.text or unknown)
    code = rule.code or -1000
    text: str | None = rule.text or None
    if text is None and code in {-1003, -1015}:
        text = "Too many requests."
    return Refusal(code, status=rule.status or None, text=text)


def _not_json(rule: faults.FaultRule | None, response: Response) -> None:
    if rule is not None and rule.do == "not_json":
        response.body = b"<html><body>Bad gateway</body></html>"
        response.headers["Content-Type"] = "text/html"


def runner(
    exchange: "Exchange",
    endpoint: Endpoint,
    params: Parameters,
    credential: Credential | None,
    ip: str,
    rule: faults.FaultRule | None,
) -> Callable[[], Any]:
    """Return what executes a request; its orders are counted now."""
    account = exchange.accounts[credential.account if credential else "main"]
    if any(endpoint.orders) and credential is not None:
        exchange.rates.spend_orders(account.name, *endpoint.orders, exchange.now_ms)
    if rule is not None and rule.do == "stale":
        account = exchange.as_of(account, rule.ms)
    call = Call(exchange=exchange, account=account, params=params, ip=ip)
    return lambda: endpoint.handler(call)
