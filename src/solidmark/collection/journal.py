"""The journal: what a marking has done so far, so that it goes on after an interruption with the same secret.

line 1    options, digest of the sources, and the secret, sealed where there is a passphrase
others    one image that is done, each written after its file has its name
"""

from __future__ import annotations

import base64
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from ..errors import DamagedFile, InvalidValue
from . import draws, sealing
from .ledger import write_private
from .painting import Painted

NAME = "marking.jsonl"


class Journal:
    """Appends what is done; `secret`, `salt` and `created` belong to the marking, `done` is what earlier runs finished."""

    def __init__(self, folder: Path, options: dict[str, Any], passphrase: str | None) -> None:
        self.path = folder / NAME
        if not self.path.exists():
            self._begin(options, passphrase)
        lines = self.path.read_bytes().split(b"\n")
        self.done = self._read(lines, options, passphrase)
        whole = sum(len(line) + 1 for line in lines[:-1])
        with self.path.open("r+b") as file:
            file.truncate(whole)  # a torn last line is that of an image that is marked again
        self._handle = os.open(self.path, os.O_WRONLY | os.O_APPEND)

    def add(self, painted: Painted) -> None:
        """Note that an image is done. Raises InvalidValue where the disk refuses."""
        line = json.dumps(asdict(painted), separators=(",", ":")).encode() + b"\n"
        try:
            if os.write(self._handle, line) != len(line):
                raise OSError("the disk took only a part of a line")
        except OSError as cause:
            cure = "Free some space, then run the same command again."
            raise InvalidValue(str(self.path), f"{cause}", "room to write", cure) from cause

    def remove(self) -> None:
        """Remove the file: the marking is finished."""
        self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        os.close(self._handle)

    def _begin(self, options: dict[str, Any], passphrase: str | None) -> None:
        secrets = draws.fresh() + draws.fresh()
        kept = secrets if passphrase is None else sealing.seal(secrets, passphrase)
        head = {
            "options": options,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "sealed": passphrase is not None,
            "secrets": base64.b64encode(kept).decode(),
        }
        write_private(self.path, json.dumps(head).encode() + b"\n")

    def _read(self, lines: list[bytes], options: dict[str, Any], passphrase: str | None) -> dict[int, Painted]:
        try:
            head = json.loads(lines[0])
            done = [Painted(**json.loads(line)) for line in lines[1:-1]]
            kept, sealed, before = base64.b64decode(head["secrets"]), bool(head["sealed"]), dict(head["options"])
            self.created = str(head["created"])
        except (ValueError, KeyError, TypeError) as cause:
            cure = f"Remove {self.path.parent} and OUT, and mark anew."
            raise DamagedFile(str(self.path), "no journal of a marking", "one", cure) from cause
        self._check(before, options, sealed == (passphrase is not None))
        both = kept if passphrase is None else sealing.unseal(kept, passphrase, str(self.path))
        self.secret, self.salt = both[:32], both[32:]
        return {one.number: one for one in done}

    def _check(self, before: dict[str, Any], now: dict[str, Any], same_sealing: bool) -> None:
        changed = [name for name in now if before.get(name) != now[name]] + ([] if same_sealing else ["encrypt"])
        if changed:
            found = f"a marking that was interrupted, with other {', '.join(changed)}"
            cure = f"Give the same options and images as before, or remove {self.path.parent} and OUT to begin anew."
            raise InvalidValue(str(self.path), found, "the same again", cure)
