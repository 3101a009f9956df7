"""The journal: what a marking has done so far, so that it goes on after an interruption with the same secret.

line 1    options, digest of the sources, and the secret, sealed where there is a passphrase
others    one image that is done, each written after its file has its name
"""

from __future__ import annotations

import base64
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import DamagedFile
from . import draws, sealing
from .lines import Lines
from .painting import Painted

NAME = "marking.jsonl"


class Journal:
    """Appends what is done; `secret`, `salt` and `created` belong to the marking, `done` is what earlier runs finished."""

    def __init__(self, folder: Path, options: dict[str, Any], passphrase: str | None) -> None:
        stated = {**options, "sealed": passphrase is not None}
        fresh = {} if (folder / NAME).exists() else _secrets(passphrase)
        self.lines = Lines(folder / NAME, {**stated, **fresh})
        self.lines.check_same(stated)
        where = str(self.lines.path)
        try:
            kept = base64.b64decode(self.lines.head["secrets"])
            self.created = str(self.lines.head["created"])
            self.done = {one.number: one for one in (Painted(**entry) for entry in self.lines.entries)}
        except (KeyError, TypeError, ValueError) as cause:
            cure = f"Remove {folder} and OUT, and mark anew."
            raise DamagedFile(where, "no journal of a marking", "one", cure) from cause
        both = kept if passphrase is None else sealing.unseal(kept, passphrase, where)
        self.secret, self.salt = both[:32], both[32:]

    def add(self, painted: Painted) -> None:
        """Note that an image is done."""
        self.lines.add(asdict(painted))

    def remove(self) -> None:
        """Remove the file: the marking is finished."""
        self.lines.path.unlink()


def _secrets(passphrase: str | None) -> dict[str, Any]:
    """What is drawn once: secret and salt, in one text, and the time."""
    plain = draws.fresh() + draws.fresh()
    kept = plain if passphrase is None else sealing.seal(plain, passphrase)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"secrets": base64.b64encode(kept).decode(), "created": created}
