"""Mistakes that a user can correct: each says where it is, what was found, what was expected, and the cure.

    SolidmarkError
    ├── InvalidValue      a value out of its range, a wrong shape, an empty input
    │   └── UnknownName   a name that no plugin, testbed, profile or parameter has
    ├── PluginFault       a plugin that fails to load, raises, or returns what its hook does not allow
    ├── DamagedFile       a file that was truncated, altered, or written by a newer version
    └── NotApplicable     a mitigation that this model, testbed or installation cannot carry

Any other exception is a fault of solidmark itself and shows its traceback.
"""

import contextlib
import hashlib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePath
from traceback import walk_tb

LONGEST_TEXT = 4000
"""Letters of a text that a record keeps; no text of ours is near it, and a plugin's may have any length."""


def cleaned(text: str) -> str:
    """A text of a plugin for records, pages and terminals: control characters and lone surrogates are escaped.

    Line breaks and tabs stay. Of more than LONGEST_TEXT letters the beginning stays.
    """
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}... ({len(text) - LONGEST_TEXT} letters more)"
    if text.isprintable():
        return text
    return "".join(letter if letter in "\n\t" or not _is_control(letter) else _escaped(letter) for letter in text)


def _is_control(letter: str) -> bool:
    """Whether a letter steers a terminal, turns the direction of writing, or has no UTF-8."""
    code = ord(letter)
    return code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000 or code in _DIRECTIONS


_DIRECTIONS = frozenset((0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))


def _escaped(letter: str) -> str:
    return f"\\x{ord(letter):02x}" if ord(letter) < 0x100 else f"\\u{ord(letter):04x}"


def shortened(text: str, letters: int = 80) -> str:
    """The text, or its beginning and a digest of the whole, so that two long texts stay apart."""
    if len(text) <= letters:
        return text
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:8]
    return f"{text[: letters - 11]}...{digest}"


def said(error: BaseException) -> str:
    """`ValueError: what it says`, cleaned, even of an exception whose own text raises."""
    try:
        text = str(error)
    except BaseException as cause:  # whatever a plugin's __str__ does
        text = f"(its text raises {type(cause).__name__})"
    return cleaned(f"{type(error).__name__}: {text}")


def cure_of(cause: BaseException) -> str:
    """Where a plugin's own code failed, `See line 12 of quiet_words.py.`: its innermost line.

    Lines of the libraries that a plugin calls, or whose classes it inherits from, are not its own. Where none is, as in a
    stock pipeline, it is the last line in the file entered first.
    """
    theirs = [line for line in _lines(cause) if not _is_ours(line[0])]
    if not theirs:
        return "See the cause above."
    file, number = (_own(theirs) or [line for line in theirs if line[0] == theirs[0][0]])[-1]
    return cleaned(f"See line {number} of {PurePath(file).name}.")


def has_own_lines(cause: BaseException) -> bool:
    """Whether a plugin's own code took part in a fault, and not libraries alone."""
    return bool(_own([line for line in _lines(cause) if not _is_ours(line[0])]))


def _lines(cause: BaseException) -> list[tuple[str, int]]:
    """File and line of each frame, from the outermost."""
    return [(frame.f_code.co_filename, number) for frame, number in walk_tb(cause.__traceback__)]


def _own(lines: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those in the package of the plugin: that of the first file of no known library. Packages that it calls are others."""
    written = [line for line in lines if _package(line[0]) not in _LIBRARIES]
    return [line for line in written if _package(line[0]) == _package(written[0][0])]


def _package(file: str) -> str:
    """The name under which a file is installed, "" where it is not."""
    parts = PurePath(file).parts
    place = next((place for place, name in enumerate(parts) if name in ("site-packages", "dist-packages")), None)
    return "" if place is None or place + 1 == len(parts) else PurePath(parts[place + 1]).stem


_LIBRARIES = frozenset(
    {"PIL", "accelerate", "diffusers", "huggingface_hub", "numpy", "peft", "safetensors", "scipy", "tokenizers", "torch",
     "torchvision", "tqdm", "transformers"}
)  # fmt: skip


def _is_ours(file: str) -> bool:
    """Whether a file is of the core, of the standard library, or of no file at all (the body of a dataclass).

    torch's file of decorators counts as ours: a function under @torch.no_grad() is entered through it.
    """
    path = PurePath(file)
    ours = path.is_relative_to(_CORE) and not path.is_relative_to(_CORE / "mitigations")
    return (
        ours
        or (path.is_relative_to(_LIBRARY) and "site-packages" not in path.parts)
        or file.startswith("<")
        or _DECORATORS in path.as_posix()
    )


_CORE = PurePath(__file__).parent
_DECORATORS = "torch/utils/_contextlib.py"
_LIBRARY = PurePath(contextlib.__file__).parent


class SolidmarkError(Exception):
    """A mistake: where it is, the value found, what was expected, and the cure."""

    def __init__(self, where: str, found: object, expected: str, cure: str) -> None:
        self.where, self.found, self.expected, self.cure = where, found, expected, cure
        super().__init__(f"{where}: found {found}; expected {expected}. {cure}")

    def __reduce__(self) -> tuple[type, tuple[str, object, str, str]]:
        return type(self), (self.where, self.found, self.expected, self.cure)


class InvalidValue(SolidmarkError, ValueError):
    """A value out of its range, a wrong shape, or an empty input."""


LONGEST_LIST = 100
"""Letters of a list of names that is told whole, also where something else lists them."""


def nearest(name: str, existing: Iterable[str]) -> str:
    """The existing name that is most like `name`, whatever its case; empty where none is like it."""
    folded = {one.casefold(): one for one in existing}
    near = get_close_matches(name.casefold(), folded, n=1)
    return folded[near[0]] if near else ""


class UnknownName(InvalidValue):
    """A name that nothing has; the message suggests the nearest, and lists those that exist or says what does."""

    @classmethod
    def among(cls, where: str, name: str, existing: Iterable[str], listed_by: str = "") -> "UnknownName":
        """The error for `name` where these are the `existing` names, all of which the command `listed_by` lists.

        Where there is such a command, of a long list the beginning is told, and none of it beside a near name.
        """
        names = sorted(existing)
        near = nearest(name, names)
        whole = ", ".join(names) or "(none)"
        cure = f"Did you mean {near!r}?" if near else "Use one of those."
        if not listed_by or len(whole) <= LONGEST_LIST:
            return cls(where, repr(name), f"one of {whole}", cure)
        first = [one for place, one in enumerate(names, 1) if len(", ".join(names[:place])) <= LONGEST_LIST]
        told = f"{len(names)} names" + (f", such as {', '.join(first)}" if first and not near else "")
        cure = f"Did you mean {near!r}? Else see" if near else "See"
        return cls(where, repr(name), f"one of {told}", f"{cure} {listed_by}, which lists them all.")


class PluginFault(SolidmarkError):
    """A plugin that fails to load, raises, or returns what its hook does not allow."""


class DamagedFile(SolidmarkError):
    """A file that was truncated, altered, or written by a newer version."""


class NotApplicable(SolidmarkError):
    """A mitigation that this model, testbed or installation cannot carry."""
