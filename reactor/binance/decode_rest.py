"""REST bodies to typed answers. `decode.py` is where callers find it."""

from collections.abc import Callable, Mapping
from types import GenericAlias
from typing import Any, Final, Literal, TypeVar

from msgspec import Raw, Struct
from msgspec.json import Decoder

from reactor.binance.fields import rules_hook
from reactor.binance.filters import SymbolFilters, symbol_filters
from reactor.binance.messages import (
    FAULTS,
    Ignored,
    Malformed,
    RestFailure,
    describe,
    malformed,
)
from reactor.binance.redaction import excerpt, line, redact
from reactor.binance.rest_account_messages import (
    Account,
    AccountConfig,
    AlgoCancel,
    AlgoOrder,
    Done,
    LeverageBrackets,
    ListenKey,
    Order,
    PositionMode,
    PositionRisk,
    SymbolConfig,
    UserTrade,
)
from reactor.binance.rest_market_messages import (
    AggTradeRow,
    AggTrades,
    ExchangeInfo,
    KlineRow,
    Klines,
    PremiumIndex,
    RateLimit,
    ServerTime,
    TickerBook,
    TickerDay,
    TickerPrice,
)
from reactor.limits import FAILURE_TEXT_CHARS_MAX, REASON_CHARS_MAX, REST_BODY_BYTES_MAX

RestAnswer = (
    ServerTime
    | ExchangeInfo
    | Klines
    | AggTrades
    | PositionMode
    | AccountConfig
    | Account
    | Order
    | AlgoOrder
    | AlgoCancel
    | ListenKey
    | Done
    | tuple[RateLimit, ...]
    | tuple[PremiumIndex | Malformed, ...]
    | tuple[TickerPrice | Malformed, ...]
    | tuple[TickerBook | Malformed, ...]
    | tuple[TickerDay | Malformed, ...]
    | tuple[SymbolConfig, ...]
    | tuple[PositionRisk, ...]
    | tuple[LeverageBrackets, ...]
    | tuple[Order, ...]
    | tuple[AlgoOrder, ...]
    | tuple[UserTrade, ...]
)

Row = TypeVar("Row")
Params = Mapping[str, str]
Reader = Callable[[bytes, Params], RestAnswer]

_ERROR_BODY_BYTES_MAX: Final = 4096


def decode_rest(
    method: str, path: str, status: int, body: bytes, params: Params | None = None
) -> RestAnswer | RestFailure | Ignored | Malformed:
    """One REST answer.

    Args:
        method: GET, POST, PUT or DELETE.
        path: the path without host and query, `/fapi/v1/klines`.
        status: the HTTP status.
        body: the body as received, decompressed.
        params: the request's parameters. Candles and trades do not say which symbol they are of; the
            request does.

    Returns:
        The typed answer; `RestFailure` for every status but 2xx and for an error body under 200;
        `Ignored` for endpoints the product does not use; `Malformed` for the rest. Never raises.
    """
    if len(body) > REST_BODY_BYTES_MAX:
        reason = f"body of {len(body)} bytes is over the limit of {REST_BODY_BYTES_MAX}"
        return malformed(reason, body)
    failure = _failure(status, body)
    if failure is not None:
        return failure
    reader = _READERS.get((method.upper(), path))
    if reader is None:
        reason = redact(f"no use for {method} {path}")
        return Ignored(line(reason, chars_max=REASON_CHARS_MAX))
    try:
        return reader(body, params or {})
    except FAULTS as error:
        return malformed(describe(error), body)


# Failures -----------------------------------------------------------------------------------------


class _Error(Struct, frozen=True):
    code: int | str
    msg: str = ""


_ERROR: Final = Decoder(_Error).decode


def _failure(status: int, body: bytes) -> RestFailure | None:
    succeeded = 200 <= status < 300
    if succeeded and (len(body) > _ERROR_BODY_BYTES_MAX or b'"code"' not in body):
        return None
    try:
        error = _ERROR(body)
        code = int(error.code)
    except FAULTS:
        return None if succeeded else RestFailure(None, excerpt(body), status)
    if succeeded and code >= 0:
        return None  # {"code":200,"msg":"success"} is how some endpoints say that all is well.
    msg = line(redact(error.msg), chars_max=FAILURE_TEXT_CHARS_MAX)
    return RestFailure(code, msg, status)


# Readers ------------------------------------------------------------------------------------------


def _one(kind: type[Any]) -> Reader:
    """A reader of one object."""
    decode = Decoder(kind, dec_hook=rules_hook).decode

    def read(body: bytes, _params: Params) -> RestAnswer:
        answer: RestAnswer = decode(body)
        return answer

    return read


def _all(kind: type[Any]) -> Reader:
    """A reader of an array that is believed whole or not at all, as what it leaves out is a statement.

    Positions and orders: one that is missing reads as flat, or as gone.
    """
    decode_many = Decoder(GenericAlias(tuple, (kind, ...)), dec_hook=rules_hook).decode
    decode_one = Decoder(kind, dec_hook=rules_hook).decode

    def read(body: bytes, _params: Params) -> RestAnswer:
        answer: RestAnswer = decode_many(body) if _is_array(body) else (decode_one(body),)
        return answer

    return read


def _each(kind: type[Any]) -> Reader:
    """A reader of an array in which every element stands for itself.

    Prices of all symbols: a contract that is not listed yet has the price 0, and must not hide the others.
    """
    decode_one = Decoder(kind, dec_hook=rules_hook).decode

    def read(body: bytes, _params: Params) -> RestAnswer:
        if not _is_array(body):
            return (decode_one(body),)
        return tuple(_verdict(part, decode_one) for part in _PARTS(body))

    return read


def _klines(source: Literal["last", "mark"]) -> Reader:
    decode = Decoder(tuple[KlineRow, ...], dec_hook=rules_hook).decode

    def read(body: bytes, params: Params) -> RestAnswer:
        return Klines(
            symbol=params.get("symbol", ""),
            interval=params.get("interval", ""),
            source=source,
            rows=decode(body),
        )

    return read


def _agg_trades(body: bytes, params: Params) -> RestAnswer:
    return AggTrades(symbol=params.get("symbol", ""), rows=_AGG_TRADES(body))


class _ExchangeInfoBody(Struct, frozen=True, rename="camel"):
    symbols: list[Raw]
    rate_limits: tuple[RateLimit, ...] = ()


def _exchange_info(body: bytes, _params: Params) -> RestAnswer:
    info = _EXCHANGE_INFO(body)
    symbols: dict[str, SymbolFilters] = {}
    unread: list[Malformed] = []
    for part in info.symbols:
        verdict = _verdict(part, symbol_filters)
        if isinstance(verdict, Malformed):
            unread.append(verdict)
        else:
            symbols[verdict.symbol] = verdict
    return ExchangeInfo(symbols=symbols, malformed=tuple(unread), rate_limits=info.rate_limits)


class _ListenKeyBody(Struct, frozen=True, rename="camel"):
    listen_key: str = ""


def _listen_key_kept(body: bytes, _params: Params) -> RestAnswer:
    """PUT and DELETE: older answers are `{}`, newer ones name the key."""
    key = _LISTEN_KEY(body).listen_key
    return ListenKey(listen_key=key) if key else Done()


def _verdict(part: Raw, decode: Callable[[Raw], Row]) -> Row | Malformed:
    try:
        return decode(part)
    except FAULTS as error:
        return malformed(describe(error), bytes(part))


def _is_array(body: bytes) -> bool:
    return body.lstrip()[:1] == b"["


_PARTS: Final = Decoder(list[Raw]).decode
_AGG_TRADES: Final = Decoder(tuple[AggTradeRow, ...], dec_hook=rules_hook).decode
_EXCHANGE_INFO: Final = Decoder(_ExchangeInfoBody, dec_hook=rules_hook).decode
_LISTEN_KEY: Final = Decoder(_ListenKeyBody).decode

_READERS: Final[dict[tuple[str, str], Reader]] = {
    ("GET", "/fapi/v1/time"): _one(ServerTime),
    ("GET", "/fapi/v1/exchangeInfo"): _exchange_info,
    ("GET", "/fapi/v1/klines"): _klines("last"),
    ("GET", "/fapi/v1/markPriceKlines"): _klines("mark"),
    ("GET", "/fapi/v1/aggTrades"): _agg_trades,
    ("GET", "/fapi/v1/premiumIndex"): _each(PremiumIndex),
    ("GET", "/fapi/v1/ticker/price"): _each(TickerPrice),
    ("GET", "/fapi/v2/ticker/price"): _each(TickerPrice),
    ("GET", "/fapi/v1/ticker/bookTicker"): _each(TickerBook),
    ("GET", "/fapi/v1/ticker/24hr"): _each(TickerDay),
    ("GET", "/fapi/v1/positionSide/dual"): _one(PositionMode),
    ("GET", "/fapi/v1/accountConfig"): _one(AccountConfig),
    ("GET", "/fapi/v1/symbolConfig"): _all(SymbolConfig),
    ("GET", "/fapi/v2/positionRisk"): _all(PositionRisk),
    ("GET", "/fapi/v3/positionRisk"): _all(PositionRisk),
    ("GET", "/fapi/v3/account"): _one(Account),
    ("GET", "/fapi/v1/leverageBracket"): _all(LeverageBrackets),
    ("GET", "/fapi/v1/rateLimit/order"): _all(RateLimit),
    ("GET", "/fapi/v1/openOrders"): _all(Order),
    ("GET", "/fapi/v1/allOrders"): _all(Order),
    ("GET", "/fapi/v1/openOrder"): _one(Order),
    ("GET", "/fapi/v1/order"): _one(Order),
    ("POST", "/fapi/v1/order"): _one(Order),
    ("DELETE", "/fapi/v1/order"): _one(Order),
    ("GET", "/fapi/v1/openAlgoOrders"): _all(AlgoOrder),
    ("GET", "/fapi/v1/allAlgoOrders"): _all(AlgoOrder),
    ("GET", "/fapi/v1/algoOrder"): _one(AlgoOrder),
    ("POST", "/fapi/v1/algoOrder"): _one(AlgoOrder),
    ("DELETE", "/fapi/v1/algoOrder"): _one(AlgoCancel),
    ("GET", "/fapi/v1/userTrades"): _all(UserTrade),
    ("POST", "/fapi/v1/listenKey"): _one(ListenKey),
    ("PUT", "/fapi/v1/listenKey"): _listen_key_kept,
    ("DELETE", "/fapi/v1/listenKey"): _listen_key_kept,
}
