"""One deadline for a whole command, handed down so that no wait inside it can outlive it.

A step may have a limit of its own within it. Only the command's own is `deadline-passed`, which
--timeout moves; what a step waited for in vain is a finding of that.
"""

from __future__ import annotations

import time

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import interruption


class Deadline:
    """A moment on the monotonic clock, so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        # One that is made after an interruption is for tidying up, and holds.
        self._tidying = interruption.begun.is_set()
        self._outer: Deadline | None = None
        self._step = ""
        self._code = ""
        self._ended: Failure | None = None

    def remaining(self) -> float:
        """Seconds left, always positive. Raises Failure after it, as `failure` tells it."""
        left = self._end - time.monotonic()
        if left <= 0 or self._broken_off():
            raise self.failure()
        return left

    def passed(self) -> bool:
        return self._broken_off() is not None or time.monotonic() >= self._end

    def end(self, failure: Failure) -> None:
        """Let every wait within it end now, with this failure."""
        self._ended = failure

    def within(self, seconds: float, step: str = "a step", *, code: str = "step-slow") -> Deadline:
        """A deadline for one step: at most `seconds` from now, and never later than this one.

        After it, its findings are of `code` and name the `step`.
        """
        inner = Deadline(min(seconds, self.remaining()))
        inner._end = min(inner._end, self._end)
        inner._outer, inner._step, inner._code = self, step, code
        return inner

    def failure(self, what: str = "") -> Failure:
        """What to raise of something that was waited for until the deadline."""
        if broken_off := self._broken_off():
            return broken_off
        if self._outer is None:
            waited = f", waiting for {what}" if what else ""
            return Failure(
                finding("deadline-passed", f"the time of {self.seconds:g} s is over{waited}")
            )
        if self._outer.passed():
            return self._outer.failure(what)
        message = f"{what or self._step} did not end within {self.seconds:g} s"
        return Failure(finding(self._code, message))

    def _broken_off(self) -> Failure | None:
        if interruption.begun.is_set() and not self._tidying:
            return interruption.failure()
        return self._ended or (self._outer._broken_off() if self._outer else None)
