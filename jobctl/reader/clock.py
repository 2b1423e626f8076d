"""The clock of a hub on another machine, compared with ours."""

from __future__ import annotations

from jobctl._clock import now_ms
from jobctl.core.protocol import Pong

__all__ = ["HubClock"]


class HubClock:
    """How far a hub's clock is ahead of ours: ``ahead_ms``, 0 until a pong told it.

    Times in jobs are by the clocks of the hub's side, so their ages are counted from `now_ms`.
    """

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        """Return the present time by the hub's clock, in milliseconds since 1970."""
        return now_ms() + self.ahead_ms

    def ping(self) -> str:
        """Return a ping that asks for the hub's time."""
        return f'{{"type":"jobs:ping","at":{now_ms()}}}'

    def take(self, pong: Pong) -> None:
        """Take the hub's time from the answer to `ping`.

        It lies between our times of sending and receiving. An estimate that agrees with that is
        kept, so a slow network does not make the clock wander.
        """
        if pong.now_ms is None or type(pong.at) is not int:
            return
        received_ms = now_ms()
        least, most = pong.now_ms - received_ms, pong.now_ms - pong.at
        if not least <= self.ahead_ms <= most:
            self.ahead_ms = (least + most) // 2
