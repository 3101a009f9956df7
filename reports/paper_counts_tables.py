"""The published counts of SolidMark (arXiv 2503.00592), as the notebook of its repository prints them.

A *run* is one model queried once: how many images lie within each threshold of `DELTAS`. No number here was checked
against the paper's PDF. The number of images N is never printed beside the counts; `known` says where ours is
from, and N is None where it could be had from the counts alone, which would put them at chance by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

from solidmark.errors import InvalidValue
from solidmark.metrics.scores import DELTAS

REPOSITORY = "github.com/NickyDCFP/SolidMark"
NOTEBOOK = "analyze_distances.ipynb (commit 1c74c63)"

STATED, IMPLIED, UNKNOWN = "stated", "implied", "unknown"
"""How N is known: written somewhere, inferred from something other than the counts, or not at all."""


@dataclass(frozen=True)
class Run:
    """`counts` of images within 0.1, 0.05 and 0.005, of `images`; `known` is STATED, IMPLIED or UNKNOWN, `basis` why."""

    experiment: str
    what: str
    counts: tuple[int, int, int]
    images: int | None
    known: str
    basis: str
    source: str = NOTEBOOK

    def count(self, delta: float) -> int:
        """The count at one of DELTAS."""
        return self.counts[DELTAS.index(delta)]

    @property
    def n(self) -> int:
        """N, where it is known. Raises InvalidValue where it is not."""
        if self.images is None:
            raise InvalidValue(
                f"run {self.experiment} of the paper", "no N", "a run whose N is known", "Compare its hits alone."
            )
        return self.images


@dataclass(frozen=True)
class Duplicates:
    """E12: of `images` per number of copies, how many were found by ten queries; `found[delta]` runs over `copies`."""

    copies: tuple[int, ...]
    found: dict[float, tuple[int, ...]]
    images: int
    queries: int
    known: str
    basis: str
    source: str = NOTEBOOK


_STL = "10 000 distances of the same sweep are printed for the ℓ2 metric"
_LAION = "the folder of the images is named subset_5k; how many links were alive is not printed"

UNMITIGATED = (
    Run("E1", "STL-10, pixel space, border", (1879, 977, 81), 10_000, IMPLIED, _STL),
    Run("E2", "STL-10, pixel space, centre patch", (1927, 1011, 107), 10_000, IMPLIED, _STL),
    Run("E6", "CelebA, pixel space, border", (924, 466, 37), None, UNKNOWN, "nothing else states it"),
    Run("E7", "Stable Diffusion 2.1, fine-tuned on LAION-5K", (1066, 549, 55), 5_000, IMPLIED, _LAION),
    Run("E9", "the same, queried once more (crops, strength 0)", (1085, 557, 68), 5_000, IMPLIED, _LAION),
    Run(
        "E16",
        "Stable Diffusion 2.1, trained from scratch",
        (1988, 989, 105),
        None,
        UNKNOWN,
        "nothing else states it",
    ),
)
"""Every run without a mitigation. E7 and E9 are the two identical baselines."""

BASELINE, AGAIN = (run for run in UNMITIGATED if run.experiment in ("E7", "E9"))


def _changed(experiment: str, **counts: tuple[int, int, int]) -> tuple[Run, ...]:
    named = ((what.replace("_", " ").replace("minus ", "-"), counted) for what, counted in counts.items())
    return tuple(Run(experiment, what, counted, 5_000, IMPLIED, _LAION) for what, counted in named)


MITIGATED = (
    Run("E8", "RT, random words added, strength 4", (1072, 539, 58), 5_000, IMPLIED, _LAION),
    Run("E8", "RNA, random numbers added, strength 4", (1036, 513, 55), 5_000, IMPLIED, _LAION),
    Run("E8", "CWR, caption words repeated, strength 4", (1074, 533, 56), 5_000, IMPLIED, _LAION),
    Run("E8", "GNI, noise on the embedding, strength 0.1", (1066, 517, 53), 5_000, IMPLIED, _LAION),
)
"""E8: mitigations at sampling, to be compared with BASELINE; printed as counts and as percent changes."""

PERCENT_CHANGES = ((0.56, -1.82, 5.45), (-2.81, -6.56, 0.0), (0.75, -2.91, 1.82), (0.0, -5.83, -3.64))
"""E8 as it is printed in percent, row by row as MITIGATED."""

CHANGED_IMAGES = (
    *_changed(
        "E9", cropped_1=(1038, 549, 58), cropped_2=(1060, 541, 48), cropped_3=(1035, 552, 49), cropped_4=(1042, 528, 50)
    ),
    *_changed(
        "E10",
        rotated_minus_10=(1057, 531, 56),
        rotated_minus_5=(1036, 500, 59),
        rotated_minus_3=(1049, 544, 54),
        rotated_minus_2=(1029, 506, 51),
        rotated_minus_1=(1053, 540, 59),
        rotated_1=(1008, 502, 51),
        rotated_2=(1047, 528, 45),
        rotated_3=(1047, 521, 47),
        rotated_5=(1071, 531, 49),
        rotated_10=(1042, 513, 46),
        rotated_15=(1031, 510, 57),
        rotated_180=(1044, 522, 47),
        rotated_270=(1086, 532, 54),
    ),
    *_changed(
        "E11", blurred_1=(1049, 516, 42), blurred_2=(1064, 503, 45), blurred_3=(1089, 534, 53), blurred_4=(1033, 506, 62)
    ),
)
"""E9 to E11: the query image changed, to be compared with AGAIN."""

DUPLICATES = Duplicates(
    copies=tuple(range(2, 11)),
    found={
        0.1: (25, 28, 28, 34, 39, 34, 38, 38, 41),
        0.05: (18, 30, 28, 36, 37, 32, 42, 41, 46),
        0.005: (5, 13, 12, 18, 16, 15, 27, 21, 28),
    },
    images=50,
    queries=10,
    known=STATED,
    basis="the printed percents are of 50; fewer rows of results are printed, 46 for two copies and 49 for ten",
)
"""E12: images with 2 to 10 copies, every copy with a key of its own."""
