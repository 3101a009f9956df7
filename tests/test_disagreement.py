"""What a row says where keys and content differ: each phrase on rows that were measured, and none where they agree."""

import pytest
from record_samples import case, content, scored

from solidmark.leaderboard import Leaderboard, build_leaderboard
from solidmark.leaderboard.disagreement import FAINT, GLOSSARY, OUTLIVES, UNLINKED, WASHED

Record = dict[str, object]
BASELINE = (0.89, 64, 1.0, 0.99, 64, 64)
"""M, how many of 64 keys certify, AUROC of own and of any, and how many of 64 these certify."""


def row(
    name: str, numbers: tuple[float, int, float | None, float, int, int], stage: str = "sampling", **more: float
) -> Record:
    """A record with these numbers."""
    m, certified, own, emitted, *shown = numbers
    query = scored(m)
    query["certified"] = {**query["certified"], "count": certified}
    block = content(own, emitted, (shown[0], shown[1]), **more)  # type: ignore[arg-type]
    return case(name, stage=stage, queries={"outpaint": query}, content=block)


def phrase(*numbers: float | None, **more: float) -> str | None:
    """What a leaderboard says of a row with these numbers."""
    return board(*numbers, **more).rows[1].disagreement


def board(*numbers: float | None, **more: float) -> Leaderboard:
    return build_leaderboard([row("none", BASELINE, "none"), row("x(a=1)", numbers, **more)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "numbers", "expected"),
    [
        ("coarse-caption", (0.10, 6, 0.59, 0.92, 2, 40), UNLINKED),
        ("multiple-captions", (0.18, 7, 0.66, 0.85, 0, 15), UNLINKED),
        ("prss", (0.12, 23, 0.53, 0.89, 23, 36), UNLINKED),
        ("guidance-scale(0)", (-0.05, 0, 0.50, 0.74, 0, 6), UNLINKED),
        ("refusal", (0.35, 25, 0.74, 0.89, 25, 32), UNLINKED),
        ("amg", (0.37, 16, 0.88, 0.68, 18, 0), OUTLIVES),
        ("wen-embedding", (0.40, 19, 0.90, 0.87, 39, 20), OUTLIVES),
        ("opposite-guidance", (-0.13, 1, 0.90, 0.75, 8, 13), OUTLIVES),
        ("salun", (0.26, 0, 0.89, 0.66, 0, 0), OUTLIVES),
        ("half-trained", (0.56, 53, 0.90, 0.88, 16, 10), FAINT),
        ("iet", (0.31, 6, 0.75, 0.68, 0, 0), FAINT),
        ("fpan", (0.60, 52, 0.95, 0.88, 40, 10), None),
        ("gni", (0.46, 36, 0.92, 0.91, 42, 25), None),
        ("augment", (0.80, 64, 0.99, 0.88, 60, 0), None),
        ("early-stopping(0.2)", (0.11, 0, 0.60, 0.62, 0, 0), None),
        ("retrain", (-0.06, 0, 0.55, 0.61, 0, 0), None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rows_of_digits_are_told_as_they_were_read(name: str, numbers: tuple[float, ...], expected: str | None) -> None:
    """The numbers of `digits`, seed 0 or the mean of seeds 0 to 2; retrain has 16 images, so a wider interval."""
    assert phrase(*numbers, error=0.09 if name == "retrain" else 0.03) == expected, name


def test_keys_that_certify_beside_content_at_chance_are_no_case_of_faint_content() -> None:
    assert phrase(0.5, 40, 0.53, 0.52, 0, 0) is None


def test_a_difference_between_captions_that_may_be_chance_is_none() -> None:
    assert phrase(0.18, 0, 0.60, 0.74, 0, 0, error=0.06) is None


def test_without_captions_nothing_is_unlinked() -> None:
    assert phrase(0.1, 0, None, 0.92, 0, 40) == OUTLIVES
    assert phrase(0.1, 0, None, 0.6, 0, 0) is None


def test_labels_tie_no_caption_to_an_image_so_nothing_is_unlinked() -> None:
    """The own caption is a class: it gives no image of the baseline either."""
    labelled = row("none", (0.89, 64, 0.55, 0.99, 0, 64), "none")
    rows = build_leaderboard([labelled, row("x(a=1)", (0.10, 6, 0.52, 0.92, 2, 40))]).rows  # type: ignore[list-item]
    assert [found.disagreement for found in rows] == [None, OUTLIVES]


def test_avoided_keys_are_keys_that_are_left() -> None:
    assert phrase(-0.6, 30, 0.95, 0.95, 40, 40) is None


def test_without_content_nothing_is_said_and_the_reason_is_given() -> None:
    (found,) = build_leaderboard([case()]).rows
    assert found.disagreement is None
    assert found.reasons["disagreement"] == found.reasons["content"]


def test_a_row_without_numbers_keeps_its_own_reason() -> None:
    washed = case("washer", stage="sampling", status="failed_check", reason="the marks were taken from their images")
    (found,) = build_leaderboard([{**washed, "queries": None}]).rows
    assert found.disagreement is None
    assert found.reasons["disagreement"] == found.reason


def test_every_phrase_has_a_meaning() -> None:
    assert set(GLOSSARY) == {UNLINKED, OUTLIVES, FAINT, WASHED}
