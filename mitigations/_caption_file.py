"""Captions from a file: several of each image, as a captioning model wrote them."""

import hashlib
import json
from pathlib import Path

from solidmark.api import InvalidValue

WHERE = "mitigation multiple-captions, file"
EXPECTED = 'a JSON object a line, {"caption": the image\'s own, "captions": [others of the same image]}'


def read_captions(file: str) -> dict[str, list[str]]:
    """Other captions of an image, by its own caption. Raises InvalidValue for a file that is missing or says otherwise."""
    try:
        rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines() if line.strip()]
        found = {row["caption"]: [str(caption) for caption in row["captions"]] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise InvalidValue(WHERE, f"{file!r} ({type(cause).__name__})", EXPECTED, "Correct the file or its name.") from cause
    empty = [caption for caption, others in found.items() if not others or not all(other.split() for other in others)]
    if empty:
        found_there = f"no other caption, or an empty one, beside {empty[0]!r}"
        raise InvalidValue(WHERE, found_there, EXPECTED, "Give each image a caption of words.")
    return found


def digest_of(file: str) -> str:
    """The beginning of a file's sha256, "" where it cannot be read."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    except OSError:
        return ""
