"""What changed between two boards, as a Markdown table: M of the same row in both, and why it moved.

python design/boards_apart.py results/outpaint/leaderboard.csv results/quick

Rows are the same by their name, family and setting. The older board is a CSV; the newer one has records, whose M is the mean
over seeds with an interval as the page has it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from solidmark import records
from solidmark.leaderboard import Row, build_leaderboard

MOVED = 0.02
"""By how much M has to move to be told."""

EDITED = "all edits drop captions and draw timesteps as the training did, and their rate is a share of its own"
SAME = "the same method, other draws of noise"

WHY = {
    "multiple-captions": "captions of the same image, where they were of other images",
    "fpan": "the text encoder is frozen, as published, where it learned its way round the noise",
    "selective-dampening": EDITED,
    **dict.fromkeys(("neggrad", "neggrad-plus", "erasediff", "adversarial-finetune", "salun", "esd", "finetune"), EDITED),
    "agc": "a table of losses by bins of timesteps, where it was stale",
}
"""Why a family moved, from `faithful.md`; of all others nothing changed that makes a number."""


def pairs(old: pd.DataFrame, new: dict[str, Row]) -> list[tuple[str, str, pd.Series, Row]]:
    """Family, name, and both rows, largest change first."""
    before = old[old["testbed"] == "digits"].drop_duplicates("mitigation").set_index("mitigation")
    found = [(row.family, name, before.loc[name], row) for name, row in new.items() if name in before.index and row.lead]
    return sorted(found, key=lambda each: -abs(change(each[2], each[3])))


def change(old: pd.Series, new: Row) -> float:
    """By how much M of the first query moved."""
    assert new.lead is not None
    return float(new.lead.memorization.value - old["memorization"])


if __name__ == "__main__":
    board = build_leaderboard(records.read(Path(sys.argv[2])).records)
    rows = {row.mitigation: row for row in board.rows if row.ok}
    found = pairs(pd.read_csv(sys.argv[1]), rows)
    moved = [each for each in found if abs(change(*each[2:])) > MOVED]
    print("| row | M before | M now | why |\n|---|---|---|---|")
    for family, name, old, row in moved:
        m = row.lead.memorization
        low, high = m.limits
        before = f"{old['memorization']:.2f} [{old['memorization_low']:.2f}, {old['memorization_high']:.2f}]"
        print(f"| `{name}` | {before} | {m.value:.2f} [{low:.2f}, {high:.2f}] | {WHY.get(family, SAME)} |")
    others = sorted(abs(change(*each[2:])) for each in found)
    print(f"\n{len(found)} rows stand in both boards; {len(found) - len(moved)} moved by at most {MOVED:g}.", end=" ")
    print(f"The median of all is {others[len(others) // 2]:.4f}.")
    anew = sorted(row.family for name, row in rows.items() if name not in {each[1] for each in found})
    known = {*pd.read_csv(sys.argv[1])["family"]}
    print("Other doses now:", ", ".join(f"`{name}`" for name in dict.fromkeys(anew) if name in known))
    print("New families:", ", ".join(f"`{name}`" for name in dict.fromkeys(anew) if name not in known))
