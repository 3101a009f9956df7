"""The counts of the SolidMark paper compared with chance.

`page` follows from the tables in `paper_counts_tables` alone; its words are in `paper_counts.md.j2`.
`python -m solidmark.reports.paper_counts` writes `paper_counts.md`, which is committed in this folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from scipy import stats
from tabulate import tabulate

from solidmark import seeds
from solidmark.metrics.scores import DELTAS, proportion

from . import paper_counts_chance as chance
from .paper_counts_chance import Guesser, Shares
from .paper_counts_tables import (
    AGAIN,
    BASELINE,
    CHANGED_IMAGES,
    DUPLICATES,
    MITIGATED,
    NOTEBOOK,
    PERCENT_CHANGES,
    REPOSITORY,
    UNMITIGATED,
    Run,
)

GIVEN, WIDER = Guesser(spread=0.15, noise=0.05), Guesser(spread=0.3, noise=0.05)
"""Two models that know no key, for the study of duplicates."""

SIMULATED = 10_000
"""Images that are simulated for each number of copies."""

HEADINGS = [f"δ = {delta}" for delta in DELTAS]

Nulls = dict[int, dict[float, Shares]]
"""By number of copies and delta, the shares of images that a guesser finds."""


def page() -> str:
    """The page as Markdown; the same in every run."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    environment.filters |= {"form": format, "largest": lambda values: f"{max(map(abs, values)):.2f}"}
    return environment.get_template("paper_counts.md.j2").render(
        **_sources(), **_unmitigated(), **_crowding(), **_mitigated(), **_changed_images(), **_duplicates()
    )


def _sources() -> dict[str, Any]:
    first, last = UNMITIGATED[0], UNMITIGATED[-1]
    numbers = [
        ("E1 and E2", first.known, first.basis),
        ("E7 to E11", BASELINE.known, BASELINE.basis),
        ("E6 and E16", last.known, last.basis),
        ("E12", DUPLICATES.known, DUPLICATES.basis),
    ]
    return {"repository": REPOSITORY, "notebook": NOTEBOOK, "numbers": numbers}


def _unmitigated() -> dict[str, Any]:
    headings = ["", "model", "δ", "count", "N", "share [95 %]", "chance", "z", "p", "above 2 δ, %"]
    counted = [(run, delta) for run in UNMITIGATED if run.images for delta in DELTAS]
    corrected = chance.holm([_p(run, delta) for run, delta in counted])
    widest = DELTAS[0]
    low, high = (run.count(widest) / (BASELINE.n * chance.constant_chance(widest)) - 1 for run in (BASELINE, AGAIN))
    return {
        "levels": _table(headings, [_level(run, delta) for run in UNMITIGATED for delta in DELTAS]),
        "counted": counted,
        "above": [f"{run.experiment} at {delta}" for (run, delta), p in zip(counted, corrected, strict=True) if p < 0.05],
        "excess": f"{100 * low:.1f} to {100 * high:.1f} %",
        "celeba": _at_chance(UNMITIGATED[2]),
        "scratch": _at_chance(UNMITIGATED[-1]),
    }


def _level(run: Run, delta: float) -> list[str]:
    """A row: count, share and interval beside both chances; dashes where N is unknown."""
    count, chances = run.count(delta), (chance.uniform_chance(delta), chance.constant_chance(delta))
    head = [run.experiment, run.what, str(delta), str(count)]
    both = ", ".join(f"{level:.4f}" for level in chances)
    if run.images is None:
        return [*head, run.known, "-", both, "-", "-", "-"]
    share = proportion(count, run.images, chances[1])
    value, low, high = (f"{100 * (edge - share.chance):z.2f}" for edge in (share.share, share.low, share.high))
    return [
        *head,
        f"{run.images} ({run.known})",
        f"{share.share:.4f} [{share.low:.4f}, {share.high:.4f}]",
        both,
        ", ".join(f"{chance.z_score(count, run.images, level):z.1f}" for level in chances),
        f"{_p(run, delta):.2g}",
        f"{value} [{low}, {high}]",
    ]


def _p(run: Run, delta: float) -> float:
    return chance.p_of_so_many(run.count(delta), run.n, chance.constant_chance(delta))


def _at_chance(run: Run) -> str:
    """The N between which the count at the widest delta is that of a guess."""
    low, high = (run.count(DELTAS[0]) / level(DELTAS[0]) for level in (chance.constant_chance, chance.uniform_chance))
    return f"{low:.0f} to {high:.0f}"


def _crowding() -> dict[str, Any]:
    crowdings = [(run, chance.crowding(run, delta)) for run in UNMITIGATED for delta in DELTAS[1:]]
    rows = [[run.experiment, run.what, *_crowding_cells(crowding)] for run, crowding in crowdings]
    within = [float(stats.norm.cdf(delta / 0.05) - stats.norm.cdf(-delta / 0.05)) for delta in DELTAS]
    return {
        "crowding": _table(["", "model", "δ", "hits", "share", "chance", "z"], rows),
        "crowded": [crowding.z for _, crowding in crowdings],
        "remembered": [share / within[0] for share in within[1:]],
    }


def _crowding_cells(crowding: chance.Crowding) -> list[str]:
    """Delta, hits, share, chance and z."""
    hits = f"{crowding.count} of {crowding.of}"
    return [str(crowding.delta), hits, f"{crowding.share:.3f}", crowding.chances, f"{crowding.z:z.1f}"]


def _between(run: Run, other: Run) -> list[float]:
    """z of a run against another at each delta."""
    return [chance.z_between(run.count(delta), run.n, other.count(delta), other.n) for delta in DELTAS]


def _mitigated() -> dict[str, Any]:
    repeated = [100 * (AGAIN.count(delta) / BASELINE.count(delta) - 1) for delta in DELTAS]
    changes = [*zip(MITIGATED, PERCENT_CHANGES, strict=True), (AGAIN, repeated)]
    rows = [
        [
            run.what,
            *(
                f"{run.count(delta)} ({change:+z.2f} %, z {z:+z.2f})"
                for delta, change, z in zip(DELTAS, printed, _between(run, BASELINE))
            ),
        ]
        for run, printed in changes
    ]
    return {
        "baseline": BASELINE,
        "mitigations": _table(["", *HEADINGS], [["baseline, E7", *map(str, BASELINE.counts)], *rows]),
        "effects": [z for run in MITIGATED for z in _between(run, BASELINE)],
        "twice": _between(AGAIN, BASELINE),
        "expected": lambda entries: f"{chance.largest_of(entries):.1f}",
    }


def _changed_images() -> dict[str, Any]:
    rows = [
        [run.experiment, run.what, *(f"{count} ({z:+z.1f})" for count, z in zip(run.counts, _between(run, AGAIN)))]
        for run in CHANGED_IMAGES
    ]
    unchanged = [AGAIN.experiment, "unchanged", *map(str, AGAIN.counts)]
    return {
        "changed_images": _table(["", "query image", *HEADINGS], [unchanged, *rows]),
        "changes": [z for run in CHANGED_IMAGES for z in _between(run, AGAIN)],
        "other_changes": [z for run in CHANGED_IMAGES for z in _between(run, BASELINE)],
    }


def _duplicates() -> dict[str, Any]:
    table, given, wider = DUPLICATES, _nulls(GIVEN), _nulls(WIDER)
    outside = [_outside(delta, given) for delta in DELTAS]
    return {
        "table": table,
        "given": GIVEN,
        "wider": WIDER,
        "simulated": SIMULATED,
        "duplicates": _table(["δ", "copies", *map(str, table.copies)], _rows(given, wider)),
        "cells": len(table.copies) * len(DELTAS),
        "over": sum(above for above, _ in outside),
        "under": sum(below for _, below in outside),
        "misfit": [f"{_misfit(null):.0f}" for null in (given, wider)],
        "closed": [f"{table.images * chance.nearest_of(copies, DELTAS[0]):.0f}" for copies in (2, 10)],
    }


def _nulls(guesser: Guesser) -> Nulls:
    rng = seeds.numpy_rng(0, "published", guesser.spread, guesser.noise)
    return {copies: chance.simulate(guesser, copies, DUPLICATES.queries, rng, SIMULATED) for copies in DUPLICATES.copies}


def _rows(given: Nulls, wider: Nulls) -> Iterator[list[str]]:
    images = DUPLICATES.images
    for delta in DELTAS:
        yield [str(delta), "published", *map(str, DUPLICATES.found[delta])]
        for name, null in (("first guesser", given), ("second guesser", wider)):
            shares = [null[copies][delta].counted for copies in DUPLICATES.copies]
            ranges = zip(shares, map(_range, shares), strict=True)
            yield ["", name, *(f"{images * share:.0f} [{low}, {high}]" for share, (low, high) in ranges)]
        yield ["", "first guesser, any hit", *(f"{images * given[copies][delta].any:.0f}" for copies in DUPLICATES.copies)]


def _range(share: float) -> tuple[int, int]:
    """The central 95 % of binomial counts."""
    low, high = stats.binom.interval(0.95, DUPLICATES.images, share)
    return int(low), int(high)


def _outside(delta: float, null: Nulls) -> tuple[int, int]:
    """How many published counts lie above the central 95 %, and how many below."""
    ranges = [_range(null[copies][delta].counted) for copies in DUPLICATES.copies]
    pairs = list(zip(DUPLICATES.found[delta], ranges, strict=True))
    return sum(count > high for count, (_, high) in pairs), sum(count < low for count, (low, _) in pairs)


def _misfit(null: Nulls) -> float:
    """The sum of z² over all cells."""
    cells = [
        (null[copies][delta].counted, delta, index) for delta in DELTAS for index, copies in enumerate(DUPLICATES.copies)
    ]
    return sum(
        chance.z_score(DUPLICATES.found[delta][index], DUPLICATES.images, share) ** 2 for share, delta, index in cells
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return str(tabulate(list(rows), headers=list(headings), tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    Path(__file__).with_name("paper_counts.md").write_text(page(), encoding="utf-8")
