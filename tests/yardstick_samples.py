"""Records of families that treat keys and content differently, and of a reference that loses both with its use."""

from __future__ import annotations

from record_samples import case, content, scored, utility

Record = dict[str, object]

Setting = tuple[int, float, float | None, float]
"""How many of 256 are right, M, and the AUROC of content from the own caption and from any."""

BASELINE: Setting = (200, 0.8, 0.99, 0.98)
FAMILIES: dict[str, list[Setting]] = {
    "stop": [(190, 0.75, 0.97, 0.97), (100, 0.3, 0.75, 0.74)],
    "washer": [(198, 0.02, 0.99, 0.98), (190, 0.0, 0.98, 0.98)],
    "unlinker": [(198, 0.1, 0.55, 0.94), (190, 0.05, 0.52, 0.94)],
    "honest": [(198, 0.3, 0.7, 0.68), (190, 0.2, 0.6, 0.58)],
    "blur": [(198, 0.7, 0.55, 0.6)],
}


def measured(
    name: str, setting: Setting, seed: int, *, shown: bool = True, stage: str = "training", **more: object
) -> Record:
    """One case; a seed moves both yardsticks a little, and content is left out where it is not `shown`."""
    right, m, own, emitted = setting
    moved = 0.004 * (-1) ** seed * (1 + seed % 3)
    block = content(None if own is None else own + moved / 2, emitted + moved / 2) if shown else None
    queries = {"outpaint": scored(m + moved)}
    return case(name, seed=seed, stage=stage, queries=queries, utility=utility(right), content=block, **more)


def world(*families: str, seeds: int = 3, shown: bool = True) -> list[Record]:
    """The baseline, the reference, and these families, over so many seeds."""
    records = [measured("none", BASELINE, seed, shown=shown, stage="none") for seed in range(seeds)]
    for family in ("stop", *families):
        kind = {"control": True, "reference_curve": True} if family == "stop" else {}
        records += [
            measured(f"{family}(x={right})", setting, seed, shown=shown, **kind)
            for setting in FAMILIES[family]
            for right in setting[:1]
            for seed in range(seeds)
        ]
    return records
