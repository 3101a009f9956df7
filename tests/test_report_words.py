"""The Markdown report changes on purpose alone: the words and numbers of boards that have all of it, against `report.txt`.

`python tests/test_report_words.py` writes that file anew; read what changed in it before you commit it.
"""

from __future__ import annotations

import re

import board_samples as boards
import pytest
from golden import Golden
from solidmark.reports import markdown

KEPT = Golden.beside(__file__, "report.txt")


def sections() -> dict[str, str]:
    """The sections of the reports by number and heading, without the padding of tables and without what columns mean."""
    found = {}
    for number, made in enumerate((boards.both, boards.keys, boards.each)):
        for section in f"\n{markdown.render(made(), [])}".split("\n## "):
            heading, _, words = section.partition("\n")
            if heading in ("How to read this table", "More columns"):
                words = re.sub(r"^(- \*\*.*?\*\*).*", r"\1", words, flags=re.MULTILINE)
            found[f"{number} {heading or 'begin'}"] = re.sub("-{3,}", "-", re.sub(" +", " ", words)).strip()
    return found


@pytest.fixture(scope="module")
def today() -> dict[str, str]:
    return sections()


def test_every_section_is_there(today):
    KEPT.check_names(today)


@pytest.mark.parametrize("name", KEPT.names)
def test_a_section_says_what_it_said(today, name):
    KEPT.check(name, today[name])


if __name__ == "__main__":
    KEPT.write(sections())
