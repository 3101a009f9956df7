"""What mkdocs builds beside the pages of this folder: files of the checkout, and pages that follow from the code.

Links are written as they are in the checkout, where the files can be read as well. A link to a file that is a page leads to
the page. A link to another file of the checkout becomes its path, for the site may be read without the checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COPIED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "mitigations/README.md": "mitigations.md",
    "results/README.md": "results.md",
    **{f"design/{path.name}": f"design/{path.name}" for path in sorted((ROOT / "design").glob("*.md"))},
}
"""Files of the checkout that are pages, with their place on the site."""

TABLE = ("| field | holds | always there |", "|---|---|---|")
PICTURES = {"design/picture.png": "design/picture.png"}
HERE = {f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))}
"""The pages of this folder, with their place on the site."""

LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Put the design notes that the navigation does not name into its last section."""
    config.nav = navigation(config.nav)
    return config


def navigation(nav: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The navigation with all design notes."""
    (title, named), *_ = nav[-1].items()
    notes = [place for place in COPIED.values() if place.startswith("design/") and place not in json.dumps(nav)]
    return [*nav[:-1], {title: [*named, *notes]}]


def on_files(files: Any, config: Any) -> Any:
    """Add all pages that are not files of this folder."""
    from mkdocs.structure.files import File

    pages = {place: linked((ROOT / source).read_text(encoding="utf-8"), source, place) for source, place in COPIED.items()}
    pages |= {"options.md": options(), "records.md": fields("record"), "rows.md": fields("row")}
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
    for source, place in PICTURES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Move the links of a page of this folder."""
    place = page.file.src_uri
    return linked(markdown, f"docs/{place}", place) if place in HERE.values() else markdown


def linked(text: str, source: str, place: str) -> str:
    """The text of `source` with links as they are at `place`. Code is left alone."""
    parts = re.split(r"(^```.*?^```$|`[^`\n]+`(?!\]))", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(
        part if part.startswith("`") else LINK.sub(lambda link: _link(link, source, place), part) for part in parts
    )


def _link(link: re.Match[str], source: str, place: str) -> str:
    words, target, anchor = link.group(1), link.group(2), link.group(3) or ""
    path = os.path.relpath((ROOT / source).parent / target, ROOT)
    pages = {**COPIED, **HERE, **PICTURES, "README.md": "index.md"}
    page = pages.get(path) or pages.get(f"{path.rstrip('/')}/README.md")
    if page is None:
        return f"{words} (`{path}`)" if path.strip("./") not in words else words
    return f"[{words}]({os.path.relpath(page, Path(place).parent)}{anchor})"


def options() -> str:
    """All options of a run and all commands, as their own parsers have them."""
    from solidmark import __main__ as console
    from solidmark import pytest_plugin

    found: list[tuple[str, Mapping[str, Any]]] = []

    class Group:
        def addoption(self, name: str, **how: Any) -> None:
            found.append((name, how))

    class Parser:
        def getgroup(self, *_: str) -> Group:
            return Group()

        def addini(self, *_: Any, **__: Any) -> None:
            pass

    pytest_plugin.pytest_addoption(Parser())  # type: ignore[arg-type]
    lines = [
        "# Options and commands",
        "",
        "## Options of a run",
        "",
        "Of `pytest benchmark/`, beside those of pytest. Each has a long name with `solidmark-`, which works in any run.",
        "",
        "| option | what it does |",
        "|---|---|",
    ]
    for name, how in found:
        short, value = name.replace("--solidmark-", "--"), f" {how['metavar']}" if "metavar" in how else ""
        lines.append(f"| `{_cell(short + value)}` | {_cell(how['help'].partition('; in the benchmark')[0])} |")
    return "\n".join([*lines, "", "## Commands", "", *_commands(console.parser(), "solidmark")]) + "\n"


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    """A section for each command that does something, with its arguments."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield from [f"### `{name}`", "", _cell(parser.description or ""), "", "| argument | what it does |", "|---|---|"]
        for action in parser._actions:
            words = action.option_strings or [str(action.metavar or action.dest)]
            yield f"| `{_cell(', '.join(words))}` | {_cell(action.help or '')} |"
        yield ""
    for action in below:
        for word, command in action.choices.items():
            yield from _commands(command, f"{name} {word}")


def fields(kind: str) -> str:
    """The fields of a record or a row, from its JSON Schema, which follows from its types."""
    schema = json.loads((ROOT / "src" / "solidmark" / "schema" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    named = {**({"Row": schema} if kind == "row" else {}), **schema["$defs"]}
    about = {
        "record": "One JSON object a line in `records/*.jsonl`. `event` is a case, a testbed, a finding or a crash.",
        "row": "One of the `rows` of `leaderboard.json`: a mitigation at one setting, over its seeds.",
    }
    lines = [f"# Fields of a {kind}", "", f"{about[kind]} Unknown is null with a reason, never 0.", ""]
    for name, block in named.items():
        lines += [
            f"## {name}",
            "",
            _prose(block.get("description", "")),
            "",
            "| field | holds | always there |",
            "|---|---|---|",
        ]
        required = block.get("required", ())
        lines += [
            f"| `{field}` | {_type(value)} | {'yes' if field in required else 'no'} |"
            for field, value in block.get("properties", {}).items()
        ]
        lines.append("")
    return "\n".join(lines)


def _type(value: Mapping[str, Any]) -> str:
    """What a field holds, in words, with a link to the block that it is."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(_type(one) for one in value["anyOf"])
    if "enum" in value or "const" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    if value.get("type") == "array":
        return f"list of {_type(value['items'])}" if value.get("items") else "list"
    if value.get("type") == "object":
        inner = value.get("additionalProperties")
        return f"by name: {_type(inner)}" if isinstance(inner, dict) and inner else "by name"
    return {"number": "number", "integer": "whole number", "string": "text", "boolean": "true or false"}.get(
        str(value.get("type")), str(value.get("type", "anything"))
    )


def _prose(text: str) -> str:
    return text.replace("<", "&lt;")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(options())
