"""A line at the foot of a terminal that is drawn anew while a run goes on, and is gone where anything else is written."""

from __future__ import annotations

import threading
from typing import Any


class LiveLine:
    """Draws on a terminal writer of pytest, whose count of letters in a line it leaves as it is."""

    def __init__(self, writer: Any) -> None:
        self._writer, self._file = writer, writer._file
        self._lock, self._drawn = threading.Lock(), False

    def draw(self, text: str) -> None:
        """Show a text, cut to the width of the terminal, in the place of the last one."""
        with self._lock:
            if not self._drawn and self._writer.width_of_current_line:
                self._writer.line()  # below what is there
            self._put(text[: self._writer.fullwidth - 1])
            self._drawn = True

    def erase(self) -> None:
        """Give the line to whoever writes next."""
        with self._lock:
            if self._drawn:
                self._put("")
                self._drawn = False

    def _put(self, text: str) -> None:
        self._file.write(f"\r\x1b[2K{text}")
        self._file.flush()
