"""Which families the profile of a run does not measure, in words, for its end and its page."""

from __future__ import annotations

from ..schema.run import RunFile


def words(facts: RunFile) -> str:
    """The families by reason, and how to measure one; empty where the run leaves out none."""
    found = [f"{', '.join(names)} ({why})" for why, names in (facts.get("left_out") or {}).items()]
    return f"{'; '.join(found)}; `--mitigation NAME` measures one" if found else ""
