"""The seam under REST: one request out, one answer in, whatever carries it."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec
import orjson

Purpose = Literal["exit", "protect", "account", "poll", "history", "info"]
"""What a request is for, most urgent first; budgets keep room for the first ones."""


class RestReply(msgspec.Struct, frozen=True):
    """What came back over the wire. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RestTransport(Protocol):
    """Carries requests. One answer per call; nothing is repeated here."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], timeout_s: float
    ) -> RestReply:
        """Sends one request whose parameters are all in the URL.

        Raises:
            RestFailed: no whole answer came. Host and cause are named, no query.
        """
        ...

    async def close(self) -> None:
        """Ends what is open."""
        ...


class RestAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer with its question, as it is recorded and read.

    Attributes:
        method: GET, POST, PUT or DELETE. `path`: `/fapi/v1/…`, without a query.
        params: as asked, without `signature`, `timestamp` and `recvWindow`.
        status: HTTP's. `body`: as it came.
        asked_ns: when the question left: what it says cannot be younger than the answer, nor older than this
            by more than the exchange's own lag.
        t_ns: when it came.
        headers: what the exchange said beside the answer, names in lower case.
    """

    method: str
    path: str
    params: Mapping[str, Any]
    status: int
    body: bytes
    asked_ns: int
    t_ns: int
    headers: Mapping[str, str] = {}

    def message(self) -> bytes:
        """The `rest` line's message on a tape. A body that is no JSON is kept as a string."""
        try:
            orjson.loads(self.body)
            body: object = orjson.Fragment(self.body)
        except orjson.JSONDecodeError:
            body = self.body.decode("utf-8", "replace")
        return orjson.dumps(
            {
                "method": self.method,
                "path": self.path,
                "params": {name: str(value) for name, value in self.params.items()},
                "status": self.status,
                "asked": self.asked_ns,
                "body": body,
            }
        )
