"""Captions from a file: several that say the same, as a captioning model or a language model wrote them."""

import hashlib
import json
from pathlib import Path

from solidmark.api import InvalidValue

EXPECTED = 'a JSON object a line, {"caption": the own one, "captions": [others that say the same]}'


def read_captions(file: str, where: str) -> dict[str, list[str]]:
    """Other captions by the own one. Raises InvalidValue, of `where`, for a file that is missing or says otherwise."""
    try:
        rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines() if line.strip()]
        found = {row["caption"]: [str(caption) for caption in row["captions"]] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise InvalidValue(where, f"{file!r} ({type(cause).__name__})", EXPECTED, "Correct the file or its name.") from cause
    empty = [caption for caption, others in found.items() if not others or not all(other.split() for other in others)]
    if empty:
        found_there = f"no other caption, or an empty one, beside {empty[0]!r}"
        raise InvalidValue(where, found_there, EXPECTED, "Give each one a caption of words.")
    return found


def digest_of(file: str) -> str:
    """The beginning of a file's sha256, "" where it cannot be read."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    except OSError:
        return ""
