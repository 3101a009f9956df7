"""Differences of two rows against plain computations: over seeds, over images, over neither; which rows; what they say."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from solidmark.leaderboard import differences
from solidmark.leaderboard.differences import Change, Comparison, Difference
from solidmark.leaderboard.per_image import Answers
from solidmark.metrics.scores import memorization_difference
from solidmark.schema.numbers import Estimate, Share

RNG = np.random.default_rng(5)


def estimate(value, chance=None, count=40, error=0.01, half=0.03):
    return Estimate(value, value - half, value + half, error, chance, count)


def attempt(seed, m=0.5, worst=0.6, service=0.4, own=None, other=None, accuracy=0.7):
    numbers = {"memorization": m, "worst": worst, "worst_service": service}
    each = {name: one if one is None or isinstance(one, Estimate) else estimate(one) for name, one in numbers.items()}
    shown = {
        name: None if one is None else estimate(one, 0.5, error=None)
        for name, one in (("content_own", own), ("content_any", other))
    }
    return SimpleNamespace(seed=seed, accuracy=accuracy, frechet=9.0 + seed, case_id=f"c{seed}", **each, **shown)


def row(*attempts, name="x", stage="training", right=60, chosen=("outpaint", "average"), **more):
    worst = SimpleNamespace(chosen=dict.fromkeys(chosen, 0.5))
    fields = {"testbed": "digits", "mitigation": name, "stage": stage, "solver": {"name": "ddim"}, "needs": ()}
    fields |= {"queries": {"outpaint": 1, "average": 2}, "worst": worst, "worst_service": worst, "ok": True}
    fields |= {"utility": SimpleNamespace(accuracy=None if right is None else Share(right, 80, 0.0, 1.0, 0.1))}
    seeds = tuple(sorted(one.seed for one in attempts))
    return SimpleNamespace(attempts=attempts, seeds=seeds, **{"status": "ok", "reason": "", **fields, **more})


def paired(before, after):
    """value, low, high, error, count of Student's paired t."""
    found = stats.ttest_rel(after, before)
    low, high = found.confidence_interval()
    error = np.std(np.subtract(after, before), ddof=1) / np.sqrt(len(after))
    return np.mean(after) - np.mean(before), low, high, error, len(after)


def told(one):
    return one.estimate.value, one.estimate.low, one.estimate.high, one.estimate.error, one.estimate.count


@pytest.mark.parametrize(("stage", "field"), [("training", "worst"), ("sampling", "service")])
def test_from_three_common_seeds_on_all_numbers_are_paired_over_them(monkeypatch, stage, field):
    monkeypatch.setattr(differences, "answers", lambda *_: pytest.fail("images were asked for"))
    for common in (3, 5):
        numbers = RNG.uniform(0.55, 0.9, (2, 6, common + 1))
        names = ("m", "worst", "service", "own", "other", "accuracy")
        seeds = [[*range(common), 7], [9, *range(common)][::-1]]
        sides = [
            row(
                *(attempt(seed, **dict(zip(names, each[:, place]))) for place, seed in enumerate(mine)),
                stage=stage,
                name=name,
            )
            for each, mine, name in zip(numbers, seeds, "ab", strict=True)
        ]
        values = [
            {seed: dict(zip(names, each[:, place])) for place, seed in enumerate(mine)} for each, mine in zip(numbers, seeds)
        ]
        worst = [
            max(("own", "other"), key=lambda name, side=side: np.mean([one[name] for one in side.values()]))
            for side in values
        ]
        memory, content, accuracy = differences.differences(*sides)
        for found, title, name, scale in (
            (memory, "M★", [field] * 2, 1),
            (content, "content", worst, 2),
            (accuracy, "accuracy", ["accuracy"] * 2, 1),
        ):
            ends = [[scale * side[seed][one] - (scale - 1) for seed in range(common)] for side, one in zip(values, name)]
            assert told(found) == pytest.approx(paired(*ends)), title
            assert (found.before, found.after) == pytest.approx(tuple(map(np.mean, ends)))
            assert (found.testbed, found.mitigation, found.measure, found.paired) == (
                "digits",
                "b",
                title,
                f"{common} seeds",
            )
            assert (found.p, found.change) == (None, Change.UNDECIDED)


def test_below_three_seeds_the_errors_of_both_count_as_if_they_were_independent():
    before = row(attempt(0, worst=0.3, own=0.9), attempt(1, worst=estimate(0.5, error=0.04, count=30), own=0.8))
    after = row(attempt(1, worst=0.7, own=0.6, accuracy=0.1), right=20)
    memory, content, accuracy = differences.differences(before, after)
    error = np.hypot(np.hypot(0.01, 0.04) / 2, 0.01)
    assert told(memory) == pytest.approx(around(0.3, error, 30, 2 * 29))
    assert (memory.before, memory.after, memory.measure, memory.paired) == (pytest.approx(0.4), pytest.approx(0.7), "M★", "")
    wide = 0.03 / 1.96 / 0.5
    assert told(content) == pytest.approx(around(0.2 - 0.7, np.hypot(wide / np.sqrt(2), wide), 40, 2 * 39))
    assert (content.before, content.after, content.measure) == (pytest.approx(0.7), pytest.approx(0.2), "content")
    first, second = 61 / 82, 21 / 82
    spread = np.sqrt(first * (1 - first) / 82 + second * (1 - second) / 82)
    assert told(accuracy) == pytest.approx(around(second - first, spread, 160, 158))
    assert (accuracy.before, accuracy.after, accuracy.measure, accuracy.paired) == (0.75, 0.25, "accuracy", "")


def around(value, error, count, freedom):
    half = stats.t.ppf(0.975, freedom) * error
    return value, value - half, value + half, error, count


def test_a_count_that_is_unknown_is_two():
    one, other = (row(attempt(0, m=m, worst=estimate(0.3, count=None))) for m in (0.1, 0.2))
    assert told(differences.differences(one, other)[0])[3:] == (pytest.approx(np.hypot(0.01, 0.01)), 2)


@pytest.mark.parametrize(
    ("before", "after", "title"),
    [
        ({}, {}, "M★"),
        ({"stage": "sampling"}, {"stage": "post-hoc+sampling"}, "M★"),
        ({"stage": "post-hoc"}, {"stage": "training"}, "M★"),
        ({}, {"stage": "sampling"}, "M"),
        ({"stage": "sampling"}, {}, "M"),
        ({}, {"chosen": ("outpaint",)}, "M"),
        ({"worst": None}, {}, "M"),
        ({}, {"worst": None}, "M"),
        ({"stage": "sampling", "worst": None}, {"stage": "sampling", "worst": None}, "M★"),
        ({"worst_service": None}, {"worst_service": None}, "M★"),
    ],
)
def test_memory_is_that_of_the_worst_case_where_both_have_the_same(before, after, title):
    sides = [row(*(attempt(seed) for seed in range(3)), **more) for more in (before, after)]
    found = differences.differences(*sides)[0]
    assert (found.measure, found.before) == (
        title,
        pytest.approx({"M": 0.5, "M★": 0.6}[title] - 0.2 * ("sampling" in sides[0].stage and title == "M★")),
    )


def test_a_number_that_one_side_lacks_has_no_difference():
    whole = row(attempt(0, own=0.9, other=0.8))
    bare = row(attempt(0, m=None, worst=None), right=None)
    for pair in ((whole, bare), (bare, whole), (bare, bare)):
        assert differences.differences(*pair) == []
    for without in (row(attempt(0), utility=None), row(attempt(0), right=None)):
        assert [
            [one.measure for one in differences.differences(*pair)] for pair in ((without, whole), (whole, without))
        ] == [["M★"]] * 2


# Which reading, and what is one measurement


def test_each_row_is_read_by_its_own_caption_so_that_both_directions_mirror():
    for seeds in (range(3), range(1)):
        one = row(*(attempt(seed, own=0.6 + 0.01 * seed, other=0.75) for seed in seeds), name="a")
        other = row(*(attempt(seed, own=0.9, other=0.55 - 0.02 * seed) for seed in seeds), name="b")
        there, back = (differences.judged(differences.differences(*pair)) for pair in ((one, other), (other, one)))
        assert (there[1].before, there[1].after) == (pytest.approx(0.5), pytest.approx(0.8))
        for each, turned in zip(there, back, strict=True):
            assert (each.before, each.after, each.p) == (turned.after, turned.before, turned.p)
            assert told(each)[:3] == pytest.approx([-turned.estimate.value, -turned.estimate.high, -turned.estimate.low])


def test_one_measurement_is_the_same_as_itself_and_takes_part_in_no_test():
    one, other = (row(attempt(0, own=own, other=0.7)) for own in (0.9, 0.8))
    found = differences.judged(differences.differences(one, one))
    assert [(each.change, each.paired, each.p) for each in found] == [(Change.SAME, "identical records", None)] * 3
    assert {each.change for each in differences.judged(differences.differences(one, other))} != {Change.SAME}


# Over images


def asked(shift, images=("a", "b", "c", "d", "e"), seed=0):
    rng = np.random.default_rng(seed)
    keys, noise = rng.random((len(images), 3)), rng.normal(0, 0.2, (len(images), 3))
    return Answers(images, np.clip(keys + shift * noise, 0, 1), keys)


def seen(monkeypatch, table):
    """Answers by runs, row, seed and query; None where the table has none."""
    monkeypatch.setattr(differences, "answers", lambda runs, of, seed, query: table.get((*runs, of.mitigation, seed, query)))


def images(seeds=(0, 1)):
    return {
        key: asked(shift, seed=seed)
        for seed in seeds
        for key, shift in ((("r", "a", seed, "outpaint"), 1.0), (("s", "b", seed, "outpaint"), 0.4 + 0.1 * seed))
    }


def over_images(before, after):
    found = differences._memory(before, after, [seed for seed in before.seeds if seed in after.seeds], ["r"], ["s"])
    return found, found.paired


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_one_or_two_seeds_are_paired_over_the_images_that_both_were_asked_for(monkeypatch, seeds):
    table = images(seeds)
    seen(monkeypatch, table)
    before = row(*(attempt(seed, m=0.3 + 0.1 * seed) for seed in seeds), attempt(5, m=0.9), name="a")
    after = row(*(attempt(seed, m=estimate(0.8 + 0.1 * seed, count=8 + seed)) for seed in seeds[::-1]), name="b")
    found, words = over_images(before, after)
    each = [
        memorization_difference(table["s", "b", s, "outpaint"].predictions, one.predictions, one.keys)
        for s in seeds
        for one in [table["r", "a", s, "outpaint"]]
    ]
    error = np.sqrt(sum(one.error**2 for one in each)) / len(seeds)
    assert told(found) == pytest.approx(around(np.mean([one.value for one in each]), error, 8, len(seeds) * 7))
    assert (found.before, found.after) == pytest.approx((0.3 + 0.05 * (len(seeds) - 1), 0.8 + 0.05 * (len(seeds) - 1)))
    assert (found.measure, words, found.mitigation) == ("M by outpaint", "8 images", "b")


PLAIN = {"m": 0.5}
OTHERS = [
    ({("r", "a", 0, "outpaint"): None}, {}, {}),
    ({("s", "b", 1, "outpaint"): None}, {}, {}),
    ({("s", "b", 1, "outpaint"): asked(0.5, ("a", "b", "c", "d", "f"), 1)}, {}, {}),
    ({("s", "b", 1, "outpaint"): asked(0.5, seed=2)}, {}, {}),
    ({}, {"m": None}, {}),
    ({}, {}, {"m": None}),
    ({}, {"m": estimate(-0.5)}, {}),
    ({}, {}, {"m": estimate(-0.5)}),
]


@pytest.mark.parametrize(("changed", "before", "after"), OTHERS)
def test_a_missing_file_other_images_and_what_avoids_keys_are_not_paired_over_images(monkeypatch, changed, before, after):
    seen(monkeypatch, images() | changed)
    sides = [row(attempt(0), attempt(1, **more), name=name) for name, more in (("a", before), ("b", after))]
    assert over_images(*sides)[1] == ""


def test_images_are_those_of_the_leading_query_and_of_seeds_in_common(monkeypatch):
    seen(monkeypatch, images((0, 1, 2)))
    assert over_images(row(attempt(0), name="a"), row(attempt(0), name="b"))[1] == "40 images"
    assert over_images(row(attempt(0), name="a", queries={"average": 1, "outpaint": 1}), row(attempt(0), name="b"))[1] == ""
    assert over_images(row(attempt(0), name="a", queries=None), row(attempt(0), name="b"))[1] == ""
    assert over_images(row(attempt(0), name="a"), row(attempt(1), name="b"))[1] == ""
    three = [row(*(attempt(seed) for seed in range(3)), name=name) for name in "ab"]
    assert over_images(*three)[1] == "3 seeds"


def test_an_image_count_that_is_unknown_is_two_and_an_error_that_is_unknown_none(monkeypatch):
    seen(monkeypatch, images((0,)))
    monkeypatch.setattr(differences, "memorization_difference", lambda *_: Estimate(0.3))
    before, after = row(attempt(0), name="a"), row(attempt(0, m=estimate(0.9, count=None)), name="b")
    assert told(over_images(before, after)[0]) == (0.3, 0.3, 0.3, 0.0, 2)


# Of runs


def test_rows_of_two_runs_are_paired_by_testbed_mitigation_and_solver(monkeypatch):
    given = []
    monkeypatch.setattr(differences, "differences", lambda *four: given.append(four) or [])
    first = row(attempt(0))
    others = [
        row(attempt(0), testbed="other"),
        row(attempt(0), name="y"),
        row(attempt(0), solver={"name": "euler"}),
        row(attempt(0), name="both", ok=False, status="error"),
        row(attempt(0), name="back", ok=False, status="error"),
        row(attempt(0), name="gone"),
        row(attempt(0), name="torn"),
    ]
    after = [
        row(attempt(1)),
        *(row(attempt(1), name=name, ok=name == "back", status="late") for name in ("gone", "torn", "both", "back")),
    ]
    after[2].reason = "no room"
    after.append(row(attempt(1), name="new"))
    found = differences.compare_runs((SimpleNamespace(rows=[first, *others]), ["r"]), (SimpleNamespace(rows=after), ["s"]))
    assert given == [(first, after[0], ["r"], ["s"])]
    assert found.only_before == ("other, x", "digits, y", "digits, x")
    assert (found.only_after, found.lost) == (("digits, new",), ("digits, gone: late", "digits, torn: late: no room"))


def difference(value, half=0.01, error=0.005, count=5, measure="M"):
    return Difference(
        "digits", "x", measure, 0.0, value, Estimate(value, value - half, value + half, error, count=count), ""
    )


@pytest.mark.parametrize("margin", [0.05, 0.2])
def test_both_kinds_of_comparison_pass_their_margin_and_their_folders_on(monkeypatch, margin):
    given = []
    monkeypatch.setattr(differences, "differences", lambda *four: given.append(four) or [difference(0.1)])
    one, other = row(attempt(0)), row(attempt(1))
    runs = differences.compare_runs((SimpleNamespace(rows=[one]), ["r"]), (SimpleNamespace(rows=[other]), ["s"]), margin)
    rows = differences.compare_rows(one, other, ["t"], margin)
    assert given == [(one, other, ["r"], ["s"]), (one, other, ["t"], ["t"])]
    kind = Change.WORSE if margin == 0.05 else Change.SAME
    assert [found.differences[0].change for found in (runs, rows)] == [kind, kind]


def test_all_differences_that_have_a_p_value_are_corrected_together():
    each = [
        difference(0.1),
        difference(0.2, error=None),
        difference(-0.1, error=0.03),
        difference(0.1, measure="accuracy"),
        difference(0.3, count=None),
    ]
    found = differences.judged(iter(each))
    raw = [2 * stats.t.sf(0.1 / error, 4) for error in (0.005, 0.03, 0.005)]
    assert [one.p for one in found] == [
        pytest.approx(3 * raw[0]),
        None,
        pytest.approx(raw[1]),
        pytest.approx(3 * raw[2]),
        None,
    ]
    assert [one.change.value for one in found] == ["worse", "undecided", "better", "better", "undecided"]
    assert [one.estimate for one in found] == [one.estimate for one in each]
    assert differences.judged([]) == ()


@pytest.mark.parametrize(("measure", "word"), [("M", "worse"), ("accuracy", "worse")])
def test_without_a_margin_nothing_is_still_no_gain(measure, word):
    assert differences._change(difference(0.0, measure=measure), 0.01, 0.0).value == word


def test_a_comparison_is_worse_where_any_difference_is_or_any_row_is_lost():
    kinds = [Change.SAME, Change.BETTER, Change.UNDECIDED, Change.WORSE]
    each = [Difference("digits", "x", "M", 0.0, 0.0, Estimate(0.0), "", 0.5, kind) for kind in kinds]
    assert [Comparison(part, ("a",), ("b",), lost).worse for part, lost in ((each[:3], ()), (each, ()), ((), ("c",)))] == [
        False,
        True,
        True,
    ]
