"""Whether a connection that is open and subscribed says nothing: asked, then judged. Pure.

A dead key, a wrong route, or a half-open connection all look alike: connected, acknowledged, silent. One
question that the exchange always answers (LIST_SUBSCRIPTIONS) tells the last of them from the others.
"""

from typing import Literal

Verdict = Literal["heard", "quiet", "probe", "dead", "mute"]
"""What a look found: data since the last look; nothing yet to do; ask; no answer came; answered, but no data."""


class MuteWatch:
    """Watches one connection.

    Args:
        quiet_ns: how long there may be no data before it is asked, and again after it answered.
        answer_ns: how long its answer may take.
        now_ns: when the watch begins.
    """

    def __init__(self, *, quiet_ns: int, answer_ns: int, now_ns: int) -> None:
        self._quiet_ns = quiet_ns
        self._answer_ns = answer_ns
        self._since_ns = now_ns
        self._delivered = 0
        self._stage: Literal["listening", "probed", "answered"] = "listening"

    def look(self, now_ns: int, *, delivered: int) -> Verdict:
        """Judges.

        Args:
            now_ns: the time.
            delivered: how many messages of data have come in all.
        """
        if delivered != self._delivered:
            self._delivered = delivered
            self.rest(now_ns)
            return "heard"
        waited_ns = now_ns - self._since_ns
        if self._stage == "listening" and waited_ns >= self._quiet_ns:
            self._stage, self._since_ns = "probed", now_ns
            return "probe"
        if self._stage == "probed" and waited_ns >= self._answer_ns:
            return "dead"
        if self._stage == "answered" and waited_ns >= self._quiet_ns:
            self.rest(now_ns)
            return "mute"
        return "quiet"

    def answered(self, now_ns: int) -> None:
        """The probe was answered."""
        if self._stage == "probed":
            self._stage, self._since_ns = "answered", now_ns

    def rest(self, now_ns: int) -> None:
        """Begins anew: data came, or nothing is wanted."""
        self._stage, self._since_ns = "listening", now_ns
