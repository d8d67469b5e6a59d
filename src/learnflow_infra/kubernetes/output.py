"""What kubectl and the context's credential plug-in print: kept, and told to the user."""

from __future__ import annotations

import os
import re
import select
import threading
from collections import deque
from collections.abc import Callable

_KEPT_BYTES = 4096
_LAST_SECONDS = 1.0  # for its last words, once it has ended or failed
_UNFINISHED_SECONDS = 0.2  # a question ends without a line's end
_MOST_LINES = 20
_MOST_LINE = 300
_MOST_WORDS = 300
# The header of klog: severity, month and day.
_LOGGED = re.compile(r"[IWEF]\d{4} ")
_SERVING = "Starting to serve on "
_ERRORS = "error: "
_ERROR = re.compile("^error: ", re.MULTILINE)
_NO_PLUGIN = re.compile(r"getting credentials: exec: executable \S+ not found")
_NO_CREDENTIALS = "getting credentials: "


class Output:
    """Takes all that comes from a descriptor, so that nobody who prints waits for a reader.

    What is not kubectl's own goes to `pass_on`, line by line, up to 20: once it serves, kubectl
    runs the context's credential plug-in, which asks the user on standard error.
    """

    def __init__(self, descriptor: int, pass_on: Callable[[str], None]) -> None:
        self._pass_on = pass_on
        self._kept = b""
        self._words: deque[str] = deque(maxlen=3)
        self._passed = 0
        self._serves = self._of_error = False
        self._failed = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(descriptor,), daemon=True)
        self._reader.start()

    def end(self) -> None:
        """Wait for the last of it, once the printer has ended."""
        self._reader.join(_LAST_SECONDS)

    def last(self) -> str:
        """The error that it ended with, else its last line; empty where it printed nothing."""
        self.end()
        text = self._kept.decode(errors="replace").strip()
        if error := _ERROR.search(text):
            return " ".join(text[error.start() :].split())
        return text.splitlines()[-1] if text else ""

    def words(self) -> str:
        """What the plug-in said last, once kubectl has told that it failed."""
        self._failed.wait(_LAST_SECONDS)
        return " ".join(self._words)[-_MOST_WORDS:]

    def _read(self, descriptor: int) -> None:
        line = b""
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            while True:
                unfinished = line and not select.select([stream], [], [], _UNFINISHED_SECONDS)[0]
                data = b"\n" if unfinished else stream.read(65536)
                if not data:
                    break
                self._kept = (self._kept + (b"" if unfinished else data))[-_KEPT_BYTES:]
                *lines, line = (line + data).split(b"\n")
                line = line[-_KEPT_BYTES:]
                for each in lines:
                    self._take(each.decode(errors="replace").rstrip())
        self._take(line.decode(errors="replace").rstrip())

    def _take(self, line: str) -> None:
        if line.startswith(_SERVING):
            self._serves = True
        elif _LOGGED.match(line):
            # Its other lines, which have no header, are the advice that is given to the user.
            self._of_error = _NO_PLUGIN.search(line) is not None
            if _NO_CREDENTIALS in line:
                self._failed.set()
        elif line and self._serves and not self._of_error and not line.startswith(_ERRORS):
            self._words.append(line[:_MOST_LINE])
            if self._passed < _MOST_LINES:
                self._passed += 1
                self._pass_on(line[:_MOST_LINE])
