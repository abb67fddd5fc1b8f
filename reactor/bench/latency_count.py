"""The yardstick of a quiet tick: picows receiving, and nothing else.

`python -m reactor.bench.latency_count PORT` counts what the stand-in sends until it hangs up.
"""

import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect


class Counter(WSListener):
    """Takes each text as bytes, as any client must."""

    def __init__(self) -> None:
        self.count = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Counts a frame."""
        if frame.msg_type == WSMsgType.TEXT and frame.get_payload_as_bytes():
            self.count += 1


async def _count(port: int) -> None:
    transport, _ = await ws_connect(Counter, f"ws://127.0.0.1:{port}/count")
    print("ready", flush=True)
    await transport.wait_disconnected()


if __name__ == "__main__":
    uvloop.run(_count(int(sys.argv[1])))
