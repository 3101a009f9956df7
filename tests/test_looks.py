"""Drawings and columns change on purpose alone: what stands in each, where, and in which look, against `looks.txt`.

`python tests/test_looks.py` writes that file anew; look at the pages of `make results` before you do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from record_samples import case, failed, finding, scored, utility
from solidmark.reports import by_query, columns, drawing, finding_figure, generalization

from solidmark.leaderboard import Leaderboard, build_leaderboard

KEPT = Path(__file__).with_name("looks.txt")
LINE = "color linestyle linewidth marker markersize markerfacecolor markeredgecolor markeredgewidth alpha zorder gid label"
LINE += " solid_capstyle"
TEXT = "text color style ha va size"


def plain(value: object) -> str:
    """A value in few digits."""
    if isinstance(value, str) or value is None:
        return str(value)
    if isinstance(value, tuple | list | np.ndarray):
        return "(" + " ".join(plain(each) for each in value) + ")"
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def told(artist: object, names: str) -> str:
    """Properties of an artist."""
    return ", ".join(f"{name} {plain(getattr(artist, f'get_{name}')())}" for name in names.split())


def looks(figure: object) -> Iterator[str]:
    """Everything that stands in a figure, a line each."""
    yield f"size {plain(figure.get_size_inches())}"
    for axes in figure.axes:
        yield f"axes {plain(axes.get_position().bounds)}, {told(axes, 'xlim ylim xscale xlabel xticks yticks')}"
        yield f"title {axes.get_title(loc='left')}"
        yield f"spines {[name for name, one in axes.spines.items() if one.get_visible()]}"
        yield from (f"x {label.get_text()}" for label in axes.get_xticklabels())
        for line in axes.lines:
            yield f"line {plain(line.get_xdata())} {plain(line.get_ydata())}, {told(line, LINE)}"
        yield from (f"text {plain(text.get_position())}, {told(text, TEXT)}" for text in axes.texts)
        yield from (f"patch {plain(p.get_xy())}, {told(p, 'facecolor alpha linewidth zorder')}" for p in axes.patches)
        for band in axes.collections:
            bounds = band.get_paths()[0].get_extents().bounds if band.get_paths() else ()
            yield f"band {plain(bounds)}, {told(band, 'facecolor alpha linewidth zorder')}"
    for legend in figure.legends:
        box = legend.get_bbox_to_anchor().transformed(figure.transFigure.inverted()).bounds
        yield f"legend {[text.get_text() for text in legend.get_texts()]}, at {plain(box)}, columns {legend._ncols}"


def board() -> Leaderboard:
    """A baseline, a reference of its stage, a family with a weak setting, and a row that failed."""
    two = {"outpaint": scored(0.2), "average": scored(0.6)}
    rows = [case(m=0.9, seed=s, queries=two, utility=utility(200)) for s in range(3)]
    for number, (m, right) in enumerate(((0.3, 190), (0.1, 150), (0.05, 70))):
        asked = {**two, "average": scored(m)}
        name = f"x(a={number})"
        rows += [case(name, seed=s, stage="training", queries=asked, utility=utility(right)) for s in range(3)]
    return build_leaderboard([*rows, failed("b", reason="no room", stage="training")])


def loss_row(name: str, m: float, loss: float, **more: object) -> dict:
    """A record with a denoising loss of held-out images."""
    block = {part: {"value": loss, "error": 0.05 * loss, "images": 64} for part in ("trained", "held_out")}
    return case(name, m, stage="training", denoising_loss=block, **more)


def drawn() -> Iterator[tuple[str, object]]:
    """The name and the figure of each drawing."""
    figures: list[object] = []
    svg = drawing.svg

    def keep(figure: object, *rest: object) -> str:
        figures.append(figure)
        return svg(figure, *rest)

    with ExitStack() as stack:
        for module in (finding_figure, generalization):
            stack.enter_context(mock.patch.object(module, "svg", keep))
        names = [*_draw()]
    yield from zip(names, figures, strict=True)


def _draw() -> Iterator[str]:
    for name, x, more in (
        ("lines", (0.0, 1.0, 4.0), {}),
        ("lines by powers", (0.0, 1.0, 100.0), {"details": {"log_x": True}}),
        ("lines by positive powers", (1.0, 10.0, 100.0), {"details": {"log_x": True}}),
        ("points", ("one", "a name of more than thirty-four letters"), {}),
    ):
        (outcome,) = build_leaderboard([finding(x=x, **more)]).findings
        finding_figure.figure("a", outcome.finding)
        yield f"finding, {name}"
    for name, losses in (("near", (0.1, 0.2)), ("far", (0.1, 2.0))):
        rows = build_leaderboard([loss_row(f"y(a={n})", 0.5 - 0.2 * n, loss) for n, loss in enumerate(losses)]).rows
        generalization.generalization("a", rows, rows[:1], rows[1], rows)
        yield f"generalization, {name}"


def headings() -> Iterator[str]:
    """Each column with its heading (direction and chance), kind and format, of boards that have all of them."""
    made = board()
    first = made.rows[0]
    every = SimpleNamespace(block=True, map=True, distances={})
    more = {"space": every, "reported": SimpleNamespace(claimed=1, refused=1), "fidelity": "A", "content": every}
    lead = replace(first.lead, retained=every)
    row = replace(first, **more, pipeline=every, queries={"outpaint": lead, "average": lead})
    told = [*columns.table(replace(made, rows=(row, *made.rows[1:]))).columns, *by_query.COLUMNS]
    for c in told:
        yield f"{c.key}: {c.heading}; {c.kind.name} {c.form}; {'main' if c.main else 'more'}; {c.missing}".rstrip("; ")


def text() -> str:
    """All drawings and columns in words."""
    all_of_them = [*((name, looks(figure)) for name, figure in drawn()), ("columns", headings())]
    return "".join(f"# {name}\n" + "\n".join(words) + "\n" for name, words in all_of_them)


def parts(whole: str) -> dict[str, str]:
    """The words of each drawing by its name."""
    return {name: words for name, _, words in (part.partition("\n") for part in whole.split("# ")[1:])}


@pytest.fixture(scope="module")
def today() -> dict[str, str]:
    return parts(text())


def test_every_drawing_is_kept(today):
    assert today.keys() == parts(KEPT.read_text()).keys()


@pytest.mark.parametrize(("name", "words"), parts(KEPT.read_text()).items() if KEPT.exists() else [])
def test_a_drawing_looks_as_it_did(today, name, words):
    assert today[name].splitlines() == words.splitlines()


if __name__ == "__main__":
    KEPT.write_text(text())
