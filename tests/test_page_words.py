"""The page changes on purpose alone: its words, numbers, links and drawings for boards that have all, against `page.txt`.

`python tests/test_page_words.py` writes that file anew; read what changed in it before you commit it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from unittest import mock

import board_samples as boards
import pytest
from golden import Golden
from page_lines import lines_of
from solidmark.reports import finding_figure, generalization, page
from test_gallery import kept as keep_pictures

from solidmark.leaderboard import Leaderboard, build_leaderboard

KEPT = Golden.beside(__file__, "page.txt")
BOARDS = {
    one.__name__: one for one in (boards.both, boards.keys, boards.each, boards.beside, boards.bare, boards.found_alone)
}
BOARDS["nothing"] = lambda: build_leaderboard([])


def drawn(figure: object, name: str, tips: Sequence[str] = ()) -> str:
    """What stands for a drawing of matplotlib, whose looks are in `looks.txt`: its name and its tips."""
    return f'<svg class="drawing" id="{name}">' + "".join(f"<title>{escape(tip)}</title>" for tip in tips) + "</svg>"


def page_of(board: Leaderboard, folder: Path) -> str:
    """The page in lines; the run has pictures of the first row of each testbed."""
    for facts in board.testbeds[:1]:
        keep_pictures(folder, board.baseline(facts) or board.of(facts)[0])
    with mock.patch.object(finding_figure, "svg", drawn), mock.patch.object(generalization, "svg", drawn):
        return lines_of(page.render(board, [folder]))


@pytest.mark.parametrize("name", KEPT.names)
def test_a_page_says_what_it_said(name: str, tmp_path: Path) -> None:
    KEPT.check(name, page_of(BOARDS[name](), tmp_path))


def test_every_board_has_its_page() -> None:
    assert KEPT.names == list(BOARDS)


def sections() -> dict[str, str]:
    """The pages of all boards."""
    with tempfile.TemporaryDirectory() as folder:
        return {name: page_of(made(), Path(folder)) for name, made in BOARDS.items()}


if __name__ == "__main__":
    KEPT.write(sections())
