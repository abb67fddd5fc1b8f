"""Order requests as bytes: WebSocket-API frames that are signed, REST's form for the record, and answers."""

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec
import orjson

from reactor.binance.orders import PREFIX
from reactor.binance.sign import Value, ws_api_text
from reactor.shell.rest_seam import RestAnswer

ORDER_PATH: Final = "/fapi/v1/order"
ALGO_PATH: Final = "/fapi/v1/algoOrder"

SENDINGS_MAX: Final = 100
"""Of one order under one id. Resends are bounded far below."""

_REQUEST_ID: Final = re.compile(
    r"[0-9A-Za-z]{5}-[0-9A-Za-z]{6}-[0-9A-Za-z]{8}-[0-9A-Za-z]{11}([-_])(\d\d)"
)

TEXT_CHARS_MAX: Final = 300
"""What is kept of an answer that is no JSON."""


class Signer(Protocol):
    """What signs: `Credentials`."""

    @property
    def api_key(self) -> str:
        """The key that requests name."""
        ...

    def sign(self, payload: str) -> str:
        """The signature of a text."""
        ...


class AnswerError(msgspec.Struct, frozen=True):
    """The error of an answer."""

    code: int | None = None
    msg: str = ""


class AnswerResult(msgspec.Struct, frozen=True, rename="camel"):
    """The order of an answer."""

    status: str = ""
    executed_quantity: str = msgspec.field(name="executedQty", default="0")
    average_price: str | None = msgspec.field(name="avgPrice", default=None)


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """An answer to an order request. `text` is what a REST answer said that is no JSON."""

    id: int | str | None = None
    status: int = 0
    result: AnswerResult | None = None
    error: AnswerError | None = None
    text: str = ""
    rate_limits: tuple[dict[str, Any], ...] = ()


decode_answer = msgspec.json.Decoder(Answer).decode


def request_id(client_id: str, sending: int, *, plain: bool = True) -> str:
    """The id of one request: which order, and which sending of it.

    `IIIII-SSSSSS-NNNNOOOO-DDDDDPPAAAA-00`: 36 characters, the client id without its prefix and two digits. An
    underscore instead of the last hyphen marks an order that is not what the decision alone yields.

    Args:
        client_id: the order's.
        sending: 0 for the first, below `SENDINGS_MAX`.
        plain: whether it is the exit's own market order, cut by the rules that were known when it was decided.
    """
    return f"{client_id.removeprefix(PREFIX)}{'-' if plain else '_'}{sending:02d}"


def socket_frame(
    identity: str,
    params: Mapping[str, str],
    *,
    signer: Signer | None,
    timestamp_ms: int,
    recv_window_ms: int,
) -> bytes:
    """An `order.place` frame.

    Args:
        identity: the request's id.
        params: the order's.
        signer: signs this request; None on a session that is logged on.
        timestamp_ms: exchange time.
        recv_window_ms: how old it may be when it arrives.
    """
    whole: dict[str, Value] = {
        **params,
        "recvWindow": recv_window_ms,
        "timestamp": timestamp_ms,
    }
    if signer is not None:
        whole["apiKey"] = signer.api_key
        whole["signature"] = signer.sign(ws_api_text(whole))
    return orjson.dumps({"id": identity, "method": "order.place", "params": whole})


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What a request's id says. `number`: 0 is the first; `plain`: whether the decision alone yields the order."""

    number: int
    plain: bool


def sending_of(identity: int | str | None) -> Sending | None:
    """What the id of a recorded request says of it; None for an id that is not the gateway's."""
    found = _REQUEST_ID.fullmatch(str(identity))
    return None if found is None else Sending(number=int(found[2]), plain=found[1] == "-")


class MarketFrames:
    """`order.place` frames of MARKET orders, with everything that repeats built once.

    The bytes are those of `socket_frame`; building them takes a quarter of the time.
    """

    def __init__(self, signer: Signer | None, recv_window_ms: int) -> None:
        self._signer = signer
        self._recv_window_ms = recv_window_ms
        self._parts: dict[tuple[str, str, str], _Parts] = {}

    def frame(self, identity: str, params: Mapping[str, str], timestamp_ms: int) -> bytes:
        """The frame of one MARKET order; see `socket_frame`."""
        key = (params["symbol"], params["side"], params.get("positionSide", ""))
        parts = self._parts.get(key)
        if parts is None:
            parts = self._parts[key] = self._build(params)
        quantity, client_id = params["quantity"], params["newClientOrderId"]
        id_, quantity_, client_, time_, rest = parts.frame
        if self._signer is None:
            text = f"{id_}{identity}{quantity_}{quantity}{client_}{client_id}{time_}{timestamp_ms}{rest}"
            return text.encode()
        first, second, third, last = parts.signed
        signature = self._signer.sign(
            f"{first}{client_id}{second}{quantity}{third}{timestamp_ms}{last}"
        )
        text = (
            f"{id_}{identity}{quantity_}{quantity}{client_}{client_id}{time_}{timestamp_ms}"
            f"{rest}{signature}{parts.end}"
        )
        return text.encode()

    def begin(self, identity: str, params: Mapping[str, str]) -> "BegunFrame":
        """The frame of one MARKET order, all but time and signature."""
        key = (params["symbol"], params["side"], params.get("positionSide", ""))
        parts = self._parts.get(key)
        if parts is None:
            parts = self._parts[key] = self._build(params)
        quantity, client_id = params["quantity"], params["newClientOrderId"]
        id_, quantity_, client_, time_, rest = parts.frame
        head = f"{id_}{identity}{quantity_}{quantity}{client_}{client_id}{time_}"
        if self._signer is None:
            return BegunFrame(head, rest, "", None, "", "")
        first, second, third, last = parts.signed
        signed = f"{first}{client_id}{second}{quantity}{third}"
        return BegunFrame(head, rest, parts.end, self._signer, signed, last)

    def _build(self, params: Mapping[str, str]) -> "_Parts":
        marked = {**params, "quantity": "@quantity@", "newClientOrderId": "@client@"}
        whole: dict[str, Value] = {
            **marked,
            "recvWindow": self._recv_window_ms,
            "timestamp": "@time@",
        }
        if self._signer is not None:
            whole["apiKey"] = self._signer.api_key
        signed = _cut(ws_api_text(whole), "@client@", "@quantity@", "@time@")
        if self._signer is not None:
            whole["signature"] = "@signature@"
        frame = orjson.dumps({"id": "@id@", "method": "order.place", "params": whole}).decode()
        # The timestamp is a number: its quotes go.
        body, _, end = frame.replace('"@time@"', "@time@").partition("@signature@")
        return _Parts(
            signed=signed, frame=_cut(body, "@id@", "@quantity@", "@client@", "@time@"), end=end
        )


class BegunFrame:
    """A frame without its time and its signature; see `MarketFrames.begin`."""

    __slots__ = ("_end", "_head", "_last", "_rest", "_signed", "_signer")

    def __init__(
        self, head: str, rest: str, end: str, signer: Signer | None, signed: str, last: str
    ) -> None:
        self._head = head
        self._rest = rest
        self._end = end
        self._signer = signer
        self._signed = signed
        self._last = last

    def frame(self, timestamp_ms: int) -> bytes:
        """The whole frame."""
        if self._signer is None:
            return f"{self._head}{timestamp_ms}{self._rest}".encode()
        signature = self._signer.sign(f"{self._signed}{timestamp_ms}{self._last}")
        return f"{self._head}{timestamp_ms}{self._rest}{signature}{self._end}".encode()


class _Parts(msgspec.Struct, frozen=True):
    """What stands between what changes from order to order."""

    signed: tuple[str, ...]
    frame: tuple[str, ...]
    end: str


def _cut(text: str, *marks: str) -> tuple[str, ...]:
    """The text around the marks, which stand in it in this order."""
    parts: list[str] = []
    for mark in marks:
        before, _, text = text.partition(mark)
        parts.append(before)
    return (*parts, text)


def logon_frame(identity: str, *, signer: Signer, timestamp_ms: int, recv_window_ms: int) -> bytes:
    """A `session.logon` frame: afterwards requests are not signed. Ed25519 keys only (binance, WebSocket API)."""
    params: dict[str, Value] = {
        "apiKey": signer.api_key,
        "recvWindow": recv_window_ms,
        "timestamp": timestamp_ms,
    }
    params["signature"] = signer.sign(ws_api_text(params))
    return orjson.dumps({"id": identity, "method": "session.logon", "params": params})


def rest_record(identity: str, path: str, params: Mapping[str, str]) -> bytes:
    """A REST request as it is recorded."""
    return orjson.dumps({"id": identity, "method": "POST", "path": path, "params": dict(params)})


def rest_answer(identity: str, answer: RestAnswer) -> bytes:
    """A REST answer in the WebSocket API's form."""
    message: dict[str, Any] = {"id": identity, "status": answer.status}
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        message["text"] = answer.body[:TEXT_CHARS_MAX].decode("utf-8", "replace")
    elif isinstance(body.get("code"), int) and body["code"] < 0:
        message["error"] = {"code": body["code"], "msg": str(body.get("msg", ""))}
    elif answer.status == 200:
        message["result"] = body
    else:
        message["text"] = str(body)[:TEXT_CHARS_MAX]
    return orjson.dumps(message)
