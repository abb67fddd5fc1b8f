"""How often people were told, and how often that failed: what alarms and heartbeats count."""

import msgspec


class Deliveries(msgspec.Struct):
    """Counts of one process.

    Attributes:
        told, failed: messages by channel. `suppressed`: repeats held back. `dropped`: the queue was full.
        beats: heartbeats by outcome: sent, failed, skipped (not ready: whoever waits for them is to notice).
        last_failure: in a phrase, without addresses.
    """

    told: dict[str, int] = msgspec.field(default_factory=dict)
    failed: dict[str, int] = msgspec.field(default_factory=dict)
    suppressed: int = 0
    dropped: int = 0
    beats: dict[str, int] = msgspec.field(default_factory=dict)
    last_failure: str = ""
