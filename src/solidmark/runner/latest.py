"""`runs/latest`: the link to the last run that has measured something."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path


def point_latest(run: Path) -> None:
    """Point `latest`, beside a run, to it. A link or folder of that name that no run of ours has made is left as it is."""
    link = run.parent / "latest"
    if os.path.lexists(link) and not _is_ours(link):
        return
    draft = link.with_name(f".latest.{os.getpid()}")
    try:
        draft.symlink_to(run.name, target_is_directory=True)
        os.replace(draft, link)
    except OSError:
        return  # a file system without links: the path is printed anyway


def _is_ours(link: Path) -> bool:
    """Whether `latest` is a link to a run: to a folder with our run.json, or to one of the name of a run that is gone."""
    if not link.is_symlink():
        return False
    target = Path(os.readlink(link))
    if not link.exists():
        return re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", str(target)) is not None
    try:
        return "benchmark_version" in json.loads((link / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False
