"""The end of a run: its pages, its short table, and what is said of cases that have no record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import said
from ..schema.record import Record
from ..schema.run import PlanEntry


@dataclass
class Ending:
    """What a run ends with: the pages that were written, its table, and what went wrong meanwhile."""

    written: list[Path] = field(default_factory=list)
    table: str = ""
    faults: list[str] = field(default_factory=list)
    records: list[Record] | None = None
    """The records that can be read; None where they could not be looked at."""

    @classmethod
    def of(cls, run: Path, *, colours: bool = False) -> Ending:
        """Render the pages of a run. Whatever fails is a fault, and what did not fail is kept."""
        from ..leaderboard.incidents import NOT_BELIEVED  # not before there is something to render: it imports scipy
        from ..leaderboard.left_out import words
        from ..leaderboard.render import render
        from . import step_summary
        from .board_table import tables

        try:
            rendered = render([run])
            loud = [note for note in rendered.board.notes if note.startswith(NOT_BELIEVED)]
            step_summary.append(rendered.board)
            told = words(rendered.board.provenance)
            table = "\n".join([tables(rendered.board, colours=colours), *([f"left out: {told}"] if told else []), *loud])
        except Exception as error:  # the records are safe, and `solidmark report` can try again
            return cls(faults=[f"no page was written: {said(error)}"])
        return cls(rendered.written, table, [*rendered.damaged, *rendered.faults], rendered.records)

    def lost(self, finished: Collection[str], plan: Mapping[str, PlanEntry]) -> list[str]:
        """Cases that have ended and have no record that can be read."""
        if self.records is None:
            return []
        recorded = {record["case_id"] for record in self.records}
        return [slug for slug, entry in plan.items() if slug in finished and entry["case_id"] not in recorded]

    def lines(self) -> list[str]:
        """What is written to the terminal, with the path of the page."""
        page = next((path for path in self.written if path.suffix == ".html"), next(iter(self.written), None))
        return [*self.faults, *([self.table] if self.table else []), *([f"\nleaderboard: {page}"] if page else [])]
