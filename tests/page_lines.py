"""A page of HTML as lines to compare: what stands by itself a line each, with text and the attributes that say something.

Style, script, what a column means, axes that were told already, and the bytes of pictures are left out.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterable
from html.parser import HTMLParser

from PIL import Image

VOID = {"img", "input", "meta", "link", "br", "hr", "path", "circle", "polygon", "polyline"}
UNSEEN = {"style", "head", "script"}
PLAIN = {"html", "body", "div", "table", "thead", "tbody", "g"}
"""Elements that are told only where an attribute says something."""

INLINE = "button span b i u a small code text tspan title path circle option label legend input th td dd figcaption".split()
"""Elements that are told in the line of what they stand in; a link of a drawing has a line."""

AXES = {"tick", "grid", "zero", "judged", "matched"}
QUIET = "tabindex type scope role autocomplete size aria-hidden aria-labelledby hidden class id text-anchor".split()


class Lines(HTMLParser):
    """The lines of a page; `skipped` is what is open and not told, outermost first."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.open: list[str] = []
        self.skipped: list[str] = []
        self.explains = False
        self.framed: set[str] = set()
        self.axes_known = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "section" or told.get("class") == "meanings":
            self.explains = tag != "section" or told.get("id") == "read"
        if tag == "svg":
            self.axes_known = told.get("viewbox", "") in self.framed
            self.framed.add(told.get("viewbox", ""))
        if self.skipped or self._is_left_out(tag, told):
            self.skipped += [] if tag in VOID else [tag]
            return
        self._tell(tag, told)
        self.open += [] if tag in VOID else [tag]

    def _is_left_out(self, tag: str, told: dict[str, str]) -> bool:
        axes = "svg" in self.open and self.axes_known and told.get("class") in AXES
        return axes or (tag in UNSEEN and told.get("id") != "more") or (tag == "dd" and self.explains)

    def _tell(self, tag: str, told: dict[str, str]) -> None:
        words = f"{tag}{stated(told)}"
        if tag in INLINE and not (tag == "a" and "svg" in self.open):
            short = words.removeprefix(tag) if tag in ("td", "th") else f"<{words}>"
            self.lines[-1] += f" | {short}".rstrip() if tag in ("td", "th") else f" {short}"
        elif words not in PLAIN:
            self.lines.append(words)

    def handle_endtag(self, tag: str) -> None:
        if self.skipped:
            self.skipped = self.skipped[:-1] if self.skipped[-1] == tag else self.skipped
        elif tag in self.open:
            del self.open[len(self.open) - 1 - self.open[::-1].index(tag) :]
        self.explains &= tag not in ("section", "details")

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and not self.skipped:
            if "script" in self.open:
                self.lines += folded(text)
            else:
                self.lines[-1] += f" {text}"


def stated(told: dict[str, str]) -> str:
    """Attributes: class and id as in CSS, what a cell sorts by in braces, numbers of a drawing as they are."""
    looks = "".join(f".{name}" for name in told.get("class", "").split() if not name.startswith("at-"))
    name = f"#{told['id']}" if "id" in told else ""
    order = "{" + told["data-order"] + "}" if "data-order" in told else ""
    rest = (f' {key}="{_short(value)}"' for key, value in told.items() if key not in [*QUIET, "data-order"])
    return f"{looks}{name}{order}" + "".join(rest)


def _short(value: str) -> str:
    """A value; of a picture only so much of its pixels' digest that another one has another."""
    if not value.startswith("data:"):
        return value
    with Image.open(io.BytesIO(base64.b64decode(value.partition(",")[2]))) as picture:
        shape, content = "x".join(map(str, picture.size)), picture.tobytes()
    return f"picture {shape} {hashlib.sha256(content).hexdigest()[:8]}"


def folded(text: str) -> Iterable[str]:
    """The columns that are folded away: their heads, and a row a line."""
    for group, block in json.loads(text).items():
        yield f"more {group}: {' | '.join(' '.join(map(str, head)) for head in block['heads'])}"
        yield from (" | ".join(map(_cell, row)) for row in block["cells"])


def _cell(cell: str | list[object]) -> str:
    return cell if isinstance(cell, str) else " ".join(map(str, cell))


def lines_of(page: str) -> str:
    """The whole page in lines."""
    reader = Lines()
    reader.feed(page)
    reader.close()
    return "\n".join(reader.lines)
