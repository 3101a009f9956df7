"""Captions from a file: several that say the same, as a captioning model or a language model wrote them."""

import hashlib
import json
from pathlib import Path

from solidmark import Mitigation
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


def take_digest(mitigation: Mitigation, file: str, digest: str, where: str) -> None:
    """Set a mitigation's `digest` to its file's, so that another content of the file is another configuration.

    Raises InvalidValue for a `digest` of another content, and for what `read_captions` refuses.
    """
    mitigation.expect(isinstance(file, str), "file", "the name of a file, or none")
    found = digest_of(file) if file else ""
    mitigation.expect(digest in ("", found), "digest", "the digest of the file, or none")
    if file:
        read_captions(file, where)
        object.__setattr__(mitigation, "digest", found)


def digest_of(file: str) -> str:
    """The beginning of a file's sha256, "" where it cannot be read."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    except OSError:
        return ""
