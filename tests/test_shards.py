"""Shards: every case in one part, whatever shares a model in the same, the parts about as long as each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solidmark import pytest_plugin
from solidmark.errors import InvalidValue
from solidmark.mitigation import Stage
from solidmark.runner import plan
from solidmark.runner.options import Options
from solidmark.runner.session import Session
from solidmark.runner.shards import Shard, parts, trained_with

WEIGHTS = st.lists(st.floats(0.5, 60.0), min_size=1, max_size=25)


@given(WEIGHTS, st.integers(1, 9))
def test_every_group_is_in_one_part_and_no_part_is_longer_than_the_bound_of_graham(weights, count):
    totals = {f"group {index}": weight for index, weight in enumerate(weights)}
    placed = parts(totals, count)
    loads = [sum(totals[group] for group, part in placed.items() if part == number) for number in range(1, count + 1)]
    assert set(placed) == set(totals)
    assert max(loads) <= sum(weights) / count + (1 - 1 / count) * max(weights) + 1e-9


@given(WEIGHTS, st.integers(1, 5), st.randoms())
def test_the_order_of_the_cases_does_not_matter(weights, count, random):
    cases = [(f"group {index % 7}", weight) for index, weight in enumerate(weights)]
    mixed = random.sample(cases, len(cases))
    first = Shard(1, count)
    chosen, others = (
        {name for name, mine in zip(names, first.takes(names, each), strict=True) if mine}
        for names, each in (zip(*cases, strict=True), zip(*mixed, strict=True))
    )
    assert chosen == others


@pytest.fixture(scope="module")
def planned():
    named = ("rna", "agc", "neggrad", "agc+rna")
    return plan.cases(Options(mitigations=named, seeds="0,1", testbeds=("digits", "digits-finetune")))


def test_cases_share_a_part_where_they_share_a_trained_model(planned):
    groups: dict[tuple, set] = {}
    for one in planned:
        trained = () if one.testbed == "digits-finetune" else str(one.case.composition.at(Stage.TRAINING).described())
        groups.setdefault((one.testbed, one.case.seed, trained), set()).add(trained_with(one))
    assert all(len(names) == 1 for names in groups.values())
    assert len({name for names in groups.values() for name in names}) == len(groups)


def test_rows_at_sampling_are_with_the_baseline_and_a_training_by_itself(planned):
    names = {(one.family, one.case.seed): trained_with(one) for one in planned if one.testbed == "digits"}
    assert names["rna", 0] == names["neggrad", 0] == names["none", 0]
    assert names["agc", 0] == names["agc+rna", 0] != names["none", 0]
    assert names["none", 1] != names["none", 0]


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "1/4/2", "-1/4"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(InvalidValue, match="I from 1 to N"):
        Shard.parse(text)


def test_the_parts_of_a_run_are_all_of_its_cases_each_once(planned, monkeypatch, tmp_path):
    monkeypatch.setattr(pytest_plugin, "planned_case", lambda item: item)
    wanted = [one.family != "neggrad" for one in planned]
    found = [
        pytest_plugin._of_shard(planned, wanted, Session(Options(shard=shard), tmp_path)) for shard in ("1/3", "2/3", "3/3")
    ]
    assert [sum(each) for each in zip(*found, strict=True)] == wanted
    assert all(any(part) for part in found)
    assert pytest_plugin._of_shard(planned, wanted, Session(Options(), tmp_path)) == wanted
