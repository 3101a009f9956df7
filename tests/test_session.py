"""A session as a worker gets it: nothing of it is lost on the way; and what its files in the folder of a run say."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from solidmark.errors import InvalidValue
from solidmark.runner import resume
from solidmark.runner.options import Options
from solidmark.runner.session import Selection, Session


def test_a_session_comes_back_whole_from_the_string_that_workers_get():
    options = Options(profile="standard", testbeds=("digits", "mnist"), mitigations=("rna(count=8)",), seeds="0-2")
    whole = Session(options, Path("/runs/one"), frozenset({"b", "a"}), "plain", 60.0, Selection("rna", "sampling"))
    again = Session.from_json(whole.to_json())
    assert (again.options, again.run, again.done) == (options, Path("/runs/one"), {"a", "b"})
    assert (again.progress, again.case_timeout, again.selection) == ("plain", 60.0, Selection("rna", "sampling"))
    assert again.to_json() == whole.to_json()


@pytest.mark.parametrize(
    ("option", "one", "same", "other"),
    [
        ("mitigation", {"mitigations": ("a", "b")}, {"mitigations": ("b", "a")}, {"mitigations": ("a",)}),
        ("seeds", {"seeds": "0-2"}, {"seeds": "0,1,2"}, {"seeds": "0-1"}),
        ("queries", {"queries": "outpaint,average"}, {"queries": "outpaint, average"}, {"queries": "average,outpaint"}),
        ("testbed", {}, {"testbeds": ("digits-quick",)}, {"testbeds": ("mnist",)}),
        ("profile", {}, {"profile": "quick"}, {"profile": "standard", "testbeds": ("digits-quick",), "seeds": "0"}),
        ("solver", {}, {"solver": "fast"}, {"solver": "ddim"}),
        ("shard", {}, {"shard": None}, {"shard": "1/2"}),
        ("pipeline", {}, {"pipeline": None}, {"pipeline": "folder"}),
        ("pipeline-class", {}, {"pipeline_class": None}, {"pipeline_class": "f.py:C"}),
        ("pipeline-call", {}, {"pipeline_call": None}, {"pipeline_call": "f.py:c"}),
        ("no-references", {}, {"references": True}, {"references": False}),
    ],
)
def test_options_mean_the_same_however_they_are_written(option, one, same, other):
    first, second, third = (resume._meaning(Options(**given)) for given in (one, same, other))
    assert first == second
    assert {name for name in first if first[name] != third[name]} == {option}


@pytest.mark.parametrize(
    ("value", "words"), [([0, 1], "0,1"), ([], "none"), (None, "None"), ("fast", "fast"), (False, "False")]
)
def test_what_an_option_means_is_told_in_words(value, words):
    assert resume._words(value) == words


@pytest.mark.parametrize(
    ("done", "shard", "plan", "found"),
    [
        ("a", None, {}, True),
        ("", "1/2", {}, True),
        ("", None, {}, False),
        ("a", None, {"b": {}}, False),
        ("a", "1/2", None, False),
    ],
)
def test_all_is_done_where_a_part_of_a_run_plans_nothing(tmp_path, done, shard, plan, found):
    if plan is not None:
        (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert Session(Options(shard=shard), tmp_path, frozenset(done)).found_all_done() is found


def test_what_was_given_up_and_who_was_replaced_is_kept_until_the_plan_is_forgotten(tmp_path):
    session = Session(Options(), tmp_path)
    assert (session.is_given_up("a"), session.was_replaced("gw0"), session.read_plan()) == (False, None, {})
    session.write_given_up(["a"])
    session.write_replaced("gw0", "a thread goes on")
    (tmp_path / "progress" / "gw1.json").write_text("{}")
    (tmp_path / "plan.json").write_text('{"a": {}}')
    assert (session.is_given_up("a"), session.is_given_up("b"), session.read_plan()) == (True, False, {"a": {}})
    assert (session.was_replaced("gw0"), session.was_replaced("gw1")) == ("a thread goes on", None)
    session.forget_plan()
    assert [path.name for path in tmp_path.rglob("*.*")] == ["planned.json"]
    assert (session.read_plan(), session.read_earlier_plans()) == ({}, {"a": {}})


@pytest.mark.parametrize(("limit", "accepted"), [(0.0, True), (0.5, True), (-0.1, False), (float("inf"), False)])
def test_a_limit_for_cases_is_a_time_or_none(tmp_path, limit, accepted):
    names = (
        "profile testbed mitigation seeds queries solver pipeline pipeline_class pipeline_call shard no_references run_dir"
    )
    given = {f"solidmark_{name}": None for name in names.split()}
    option = SimpleNamespace(**given, solidmark_case_timeout=limit, solidmark_resume=None, solidmark_progress="off")
    option.keyword, option.markexpr = "rna", "sampling"
    config = SimpleNamespace(option=option, invocation_params=SimpleNamespace(dir=tmp_path))
    if accepted:
        made = Session.from_options(config)
        assert (made.case_timeout, made.progress, made.selection) == (limit, "off", Selection("rna", "sampling"))
        assert made.run.parent == tmp_path / "runs"
        assert (made.options, made.done) == (Options(), frozenset())
    else:
        with pytest.raises(InvalidValue, match="--case-timeout"):
            Session.from_options(config)
