"""The short way of a frame from picows: what `reactor.compiled` has in machine code, where it has not."""

from typing import Any, Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport

# An attribute of an enumeration is looked up each time it is named.
_TEXT: Final = WSMsgType.TEXT


class FrameListener(WSListener):
    """Takes frames for a socket, which has the attributes and methods named here."""

    more: bool
    _heard: bool
    _parts: bytearray | None
    _on_message: Any
    _fault: Any
    _take_other: Any

    def look_with(self, connection: object, route: str, give: object, size_max: int) -> None:
        """Would have prices go straight to a compiled lookout; they go by `on_message` here."""

    def look_no_more(self) -> None:
        """The handler hears nothing any more."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Takes a frame. A text that is whole, while nobody has said farewell, takes the short way."""
        self._heard = True
        if (
            frame.msg_type is _TEXT
            and frame.fin
            and self._parts is None
            and not transport.is_close_frame_sent
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
        ):
            self.more = not frame.last_in_buffer
            try:
                self._on_message(frame.get_payload_as_bytes())
            except Exception as error:  # noqa: BLE001 -- picows would cut the connection
                self._fault(error)
            return
        self.more = False
        self._take_other(transport, frame)
