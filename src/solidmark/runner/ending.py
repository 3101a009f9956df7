"""The end of a run: its pages, its short table, and what is said of cases that have no record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabulate import tabulate

from ..errors import said
from ..schema.run import PlanEntry


@dataclass
class Ending:
    """What a run ends with: the pages that were written, the lines of its table, and what went wrong meanwhile."""

    written: list[Path] = field(default_factory=list)
    table: str = ""
    faults: list[str] = field(default_factory=list)
    recorded: Collection[str] | None = None
    """Cases that have a record that can be read; None where no record could be looked at."""

    @classmethod
    def of(cls, run: Path) -> Ending:
        """Render the pages of a run. Whatever fails is a fault, and what did not fail is kept."""
        from ..leaderboard.incidents import NOT_BELIEVED
        from ..leaderboard.render import render  # not before there is something to render: it imports scipy and matplotlib

        try:
            rendered = render([run])
        except Exception as error:  # the records are safe, and `solidmark report` can try again
            return cls(faults=[f"no page was written: {said(error)}"])
        loud = [note for note in rendered.board.notes if note.startswith(NOT_BELIEVED)]
        table = "\n".join([short_table(rendered.board.to_json()), *loud])
        return cls(rendered.written, table, [*rendered.damaged, *rendered.faults], rendered.recorded)

    def lost(self, finished: Collection[str], plan: Mapping[str, PlanEntry]) -> list[str]:
        """Cases that have ended and have no record that can be read."""
        if self.recorded is None:
            return []
        return [slug for slug, entry in plan.items() if slug in finished and entry["case_id"] not in self.recorded]

    def lines(self) -> list[str]:
        """What is written to the terminal, with the path of the page."""
        page = next((path for path in self.written if path.suffix == ".html"), next(iter(self.written), None))
        return [*self.faults, *([self.table] if self.table else []), *([f"\nleaderboard: {page}"] if page else [])]


def short_table(board: Mapping[str, Any]) -> str:
    """The rows of a leaderboard, as its JSON has them, with the numbers of the leading query, and what is said of some."""
    shown = any(row["content"] for row in board["rows"])
    rows = [short_row(row, shown=shown) for row in board["rows"]]
    content = ["content (0.5 is chance)"] if shown else []
    headers = ["mitigation", "M (0 is chance)", "certified", *content, "accuracy", "status"]
    told = [f"{row['mitigation']}: {row['disagreement']}" for row in board["rows"] if row["disagreement"]]
    return "\n".join([tabulate(rows, headers=headers, disable_numparse=True), *told])


def short_row(row: Mapping[str, Any], *, shown: bool = False) -> list[str]:
    """A line of the short table; `shown` where any row has content."""
    lead = next(iter((row["queries"] or {}).values()), None)
    if lead is None:
        return [row["mitigation"], "", "", *([""] if shown else []), "", row["status"]]
    m, certified, accuracy = lead["memorization"], lead["certified"], (row["utility"] or {}).get("accuracy")
    return [
        row["mitigation"],
        f"{m['value']:+.3f} [{m['low']:+.3f}, {m['high']:+.3f}]",
        f"{certified['count']} of {certified['of']}",
        *([_content(row["content"])] if shown else []),
        "–" if accuracy is None else f"{accuracy['count'] / accuracy['of']:.2f}",  # its reason is on the page
        row["status"],
    ]


def _content(block: Mapping[str, Any] | None) -> str:
    """AUROC from the own caption and from any: `own 0.97, any 0.90`."""
    scores = {name: block[name] for name in ("own", "any") if block[name]} if block else {}
    return ", ".join(f"{name} {score['auroc']['value']:.2f}" for name, score in scores.items()) or "–"
