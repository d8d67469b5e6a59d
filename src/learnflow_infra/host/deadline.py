"""One deadline for a whole command, handed down so that no wait inside it can outlive it."""

from __future__ import annotations

import time

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import interruption


class Deadline:
    """A moment on the monotonic clock. Raises `deadline-passed` when asked for time after it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        # One that is made after an interruption is for tidying up, and holds.
        self._tidying = interruption.begun.is_set()

    def remaining(self) -> float:
        """Seconds left, always positive."""
        if self._interrupted():
            raise interruption.failure()
        left = self._end - time.monotonic()
        if left <= 0:
            raise Failure(finding("deadline-passed", f"the time of {self.seconds:g} s is over"))
        return left

    def passed(self) -> bool:
        return self._interrupted() or time.monotonic() >= self._end

    def within(self, seconds: float) -> Deadline:
        """A deadline for one step: at most `seconds` from now, and never later than this one."""
        return Deadline(min(seconds, self.remaining()))

    def _interrupted(self) -> bool:
        return interruption.begun.is_set() and not self._tidying
