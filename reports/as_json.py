"""The leaderboard as JSON, schema `solidmark.leaderboard/2`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from solidmark.leaderboard import Leaderboard


def render(board: Leaderboard, runs: Sequence[Path]) -> str:
    """`leaderboard.json`: every number of the leaderboard; unknown is null with a reason, never NaN."""
    return json.dumps(board.to_json(), indent=1, allow_nan=False) + "\n"
