"""The leaderboard as one HTML page: no network, light and dark, phone to desktop. The templates are in this folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from solidmark.leaderboard import NO_CLASS, Estimate, Leaderboard, TestbedFacts
from solidmark.leaderboard.answer import Answer
from solidmark.leaderboard.placing import STANDING

from . import (
    agreement,
    answer,
    by_query,
    families,
    finding_cards,
    gallery,
    matched,
    matched_prose,
    matched_table,
    prose,
    ranking_table,
    wrong,
)
from .anchors import anchor
from .columns import solver_text, table
from .drawing import Drawing
from .finding_cards import Card, Suite
from .finding_figure import figure
from .overview import SIGNS
from .sheet import sheet
from .table import Column, with_interval

LOWEST = -0.1
"""Where the small scale of M in the table begins; it ends at 1."""


def render(board: Leaderboard, runs: Sequence[Path]) -> str:
    """`leaderboard.html`, whole in one file."""
    found = answer.answers(board)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            board=board,
            prose=prose,
            solver=solver_text,
            no_class=NO_CLASS,
            by_query=by_query,
            matched_table=matched_table,
            ranking_table=ranking_table,
            matched_prose=matched_prose,
            keys_only=matched_prose.keys_only(board),
            agreement=agreement,
            beside=agreement.side_by_side(board, found),
            families=families.parts(board, found, runs),
            columns=table(board).columns,
            first=answer.first_screens(board, found),
            sheet=sheet(board, found) if board.rows else None,
            signs=SIGNS,
            standing=STANDING,
            wrong=wrong.wrong(board),
            suites=[_suite(number, suite) for number, suite in enumerate(finding_cards.suites(board))],
            testbeds=(
                testbeds := [
                    _testbed(number, board, facts, one, runs)
                    for number, (facts, one) in enumerate(zip(board.testbeds, found))
                ]
            ),
            has_maps=any(picture.generated for one in testbeds for wall in one.walls for picture in wall.pictures),
        )
    )


@cache
def _environment() -> Environment:
    """The templates with their filters; they are compiled once a process."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "anchor": anchor,
        "code": code,
        "digits": digits,
        "ended": prose.ended,
        "gray": gray,
        "inline": Markup,
        "interval": interval,
        "link_arxiv": link_arxiv,
        "looks": looks,
        "position": position,
        "probability": probability,
        "sentence": prose.sentence,
        "share": share,
        "with_interval": with_interval,
    }
    return environment


def _suite(number: int, suite: Suite) -> tuple[Suite, list[tuple[Card, Drawing | None]]]:
    """A suite with its cards and their figures."""
    return suite, [(card, _figure(f"{number}-{index}", card)) for index, card in enumerate(suite.cards)]


def _figure(name: str, card: Card) -> Drawing | None:
    return figure(name, card.outcome.finding) if card.outcome.finding else None


@dataclass(frozen=True)
class TestbedPage:
    """What the page shows of one testbed."""

    facts: TestbedFacts
    decides: bool
    matched: matched.Section
    walls: list[gallery.Wall]


def _testbed(number: int, board: Leaderboard, facts: TestbedFacts, found: Answer, runs: Sequence[Path]) -> TestbedPage:
    return TestbedPage(facts, found.decides, matched.section(number, board, facts), gallery.walls(board, facts, runs))


LONG = ("reason", "setting", "disagreement", "worn", "dose", "reported")
"""Columns whose text runs over several lines."""


def looks(column: Column[Any]) -> str:
    """CSS classes of a column."""
    kinds = {"num": column.kind.name != "text", "long": column.key in LONG}
    return " ".join(name for name, worn in kinds.items() if worn)


def position(value: float) -> str:
    """Where an M is on the small scale of the table, in percent of its width."""
    return f"{100 * (min(max(value, LOWEST), 1.0) - LOWEST) / (1 - LOWEST):.1f}"


def interval(estimate: Estimate) -> str:
    """`[0.87, 0.89]`; empty without one."""
    return with_interval(estimate).partition(" ")[2]


def share(value: float) -> str:
    """A number from 0 to 1 in percent of a width."""
    return f"{100 * min(max(value, 0.0), 1.0):.1f}"


def digits(order: float | str) -> str:
    """What a cell sorts by, in few digits."""
    return f"{order:.4g}" if isinstance(order, float) else str(order)


def code(text: str) -> Markup:
    """Text with what stands between backticks as code; everything else is escaped."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if odd % 2 else part for odd, part in enumerate(parts))


def gray(key: float) -> str:
    """A key as a CSS colour."""
    level = round(255 * min(max(key, 0.0), 1.0))
    return f"rgb({level} {level} {level})"


def probability(p: float) -> str:
    """A p-value in two digits: `0.018`, `4 × 10⁻⁷`."""
    if p >= 1e-3:
        return f"{p:.2g}"
    if p <= 0:
        return "below 10⁻³⁰⁰"
    digits, _, power = f"{p:.0e}".partition("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits} × 10{raised}"


def link_arxiv(text: str) -> Markup:
    """Text with its arXiv numbers as links, and what stands between backticks as code; everything else is escaped."""
    parts = re.split(r"(arXiv \d{4}\.\d{4,5})", text)
    return Markup("").join(_link(part) if index % 2 else code(part) for index, part in enumerate(parts))


def _link(reference: str) -> Markup:
    return Markup('<a href="https://arxiv.org/abs/{}">{}</a>').format(reference.removeprefix("arXiv "), reference)
