"""Functions that slow tests alone run, each by itself: what it passes on, what it builds, what it says."""

import json
from argparse import Namespace
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from solidmark.reports import agreement as agreement_report
from solidmark.reports import finding_figure, generalization
from test_board_rules import joint
from test_keys_of_the_store import Parts, case
from test_report_rules import BARE

from solidmark import experiments, pipelines
from solidmark.cli import collection as console
from solidmark.collection import loading, measuring, showing
from solidmark.collection import marking as marking_module
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.leaderboard import agreement
from solidmark.leaderboard.excess import CurveVerdict
from solidmark.measurement import answers, pipeline, sources, weights
from solidmark.metrics import features, utility
from solidmark.schema import publish
from solidmark.schema.numbers import Estimate, Share

# Schemas, utility, features


def test_schemas_are_written_with_sorted_names(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "json_schemas", lambda: {"a.json": {"z": 1, "b": [2]}, "c.json": {}})
    paths = publish.publish(tmp_path)
    assert paths == [tmp_path / "a.json", tmp_path / "c.json"]
    assert paths[0].read_text() == '{\n "b": [\n  2\n ],\n "z": 1\n}\n'


@pytest.mark.parametrize(
    ("clip", "real", "block"), [(None, None, None), (0.5, None, None), (0.5, 0.75, {"value": 0.5, "real": 0.75})]
)
def test_numbers_of_utility_have_captions_where_they_were_matched(clip, real, block):
    shares = Share(3, 4, 0.2, 0.9, 0.1), Share(1, 2, 0.1, 0.8, 0.0)
    found = utility._numbers(utility.Utility(shares[0], 1.0, 2.0, 3.0, 4.0, shares[1], 0.9, 0.8, clip, real))
    assert (found["accuracy"]["count"], found["diversity"]["count"]) == (3, 1)
    assert (found["frechet"], found["kernel"]) == ({"value": 1.0, "real": 2.0}, {"value": 3.0, "real": 4.0})
    assert found.get("clip") == block
    assert utility._numbers(utility.Utility(None, 1.0, 2.0, 3.0, 4.0, shares[1], 0.9, None))["accuracy"] is None


def test_a_judge_gives_features_of_flat_images_and_nobody_gives_none():
    judge = SimpleNamespace(features=lambda images: images.sum(axis=1))
    assert features.judge_features(judge)(np.ones((2, 3, 4, 4))).tolist() == [48.0, 48.0]
    with pytest.raises(NotApplicable, match="a testbed without a judge"):
        features.judge_features(None)(np.ones((2, 3, 4, 4)))


# Drawings


class Axes:
    """Keeps what is set on it."""

    def __init__(self):
        self.calls, self.xaxis = [], self

    def __getattr__(self, name):
        return lambda *words, **more: self.calls.append((name, words, more))

    def of(self, name):
        return [(words, more) for told, words, more in self.calls if told == name]


def point(low, high):
    return BARE, None, Estimate((low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("points", "scale", "limits"),
    [
        ([(1.0, 2.0), (3.0, 8.0)], None, (1.0 - 0.35, 8.0 + 0.35)),
        ([(1.0, 2.0), (3.0, 8.5)], "log", (1.0 / 1.15, 8.5 * 1.15)),
        ([(0.0, 2.0), (3.0, 9.0)], None, (-0.45, 9.45)),
        ([(-2.0, -2.0)], None, (-2.1, -1.9)),
        ([(0.0, 0.0)], None, (-1.0, 1.0)),
    ],
)
def test_the_range_of_losses_has_some_room_and_is_by_powers_where_it_is_wide(points, scale, limits):
    axes = Axes()
    generalization._range(axes, [point(*each) for each in points])
    assert [words[0] for words, _ in axes.of("set_xscale")] == ([] if scale is None else [scale])
    ((found, _),) = axes.of("set_xlim")
    assert found == pytest.approx(limits)
    assert len(axes.of("set_major_formatter")) == 1
    assert len(axes.of("set_minor_formatter")) == (1 if scale else 0)
    assert len(axes.of("set_major_locator")) == (0 if scale else 1)


@pytest.mark.parametrize(
    ("indices", "scale", "linear", "located"),
    [
        ([1.0, 10.0], "log", None, True),
        ([0.0, 0.5, 4.0], "symlog", 0.5, True),
        ([float(n) for n in range(1, 11)], "log", None, True),
        ([float(n) for n in range(1, 12)], "log", None, False),
    ],
)
def test_an_axis_by_powers_is_linear_below_its_smallest_number(indices, scale, linear, located):
    axes = Axes()
    finding_figure._by_powers(axes, indices)
    ((words, more),) = axes.of("set_xscale")
    assert (words, more.get("linthresh")) == ((scale,), linear)
    assert [list(words[0].locs) for words, _ in axes.of("set_major_locator")] == ([indices] if located else [])
    ((words, _),) = axes.of("set_major_formatter")
    assert words[0](1234.0) == "1,234"
    assert len(axes.of("set_minor_locator")) == 1


def test_an_axis_without_a_positive_number_stays_as_it_is():
    axes = Axes()
    finding_figure._by_powers(axes, [0.0, -1.0])
    assert axes.calls == []


@pytest.mark.parametrize(("letters", "columns"), [((32, 5), 2), ((33, 5), 1)])
def test_long_labels_stand_below_each_other(letters, columns):
    series = tuple(SimpleNamespace(label="x" * count) for count in letters)
    assert finding_figure._columns(SimpleNamespace(series=series)) == columns
    assert finding_figure._entries(SimpleNamespace(series=series, chance=0.0)) == 3
    assert finding_figure._entries(SimpleNamespace(series=series, chance=None)) == 2


@pytest.mark.parametrize(("xs", "numeric"), [(((1.0, 2), (3,)), True), (((1.0,), ("a",)), False), ((("a", 1.0),), False)])
def test_a_finding_is_over_numbers_where_each_x_is_one(xs, numeric):
    assert finding_figure._numeric(SimpleNamespace(series=[SimpleNamespace(x=x) for x in xs])) is numeric


# Several testbeds


def test_testbeds_agree_over_the_families_that_both_rank_and_judge(monkeypatch):
    ranks = {
        "one": {name: n / 10 for n, name in enumerate("abcdef")},
        "two": {name: n / 5 for n, name in enumerate("bcdefx")},
    }
    kinds = {
        "one": dict(zip("abc", (CurveVerdict.REAL,) * 3, strict=True)),
        "two": {"b": CurveVerdict.REAL, "c": CurveVerdict.WORSE},
    }
    monkeypatch.setattr(agreement, "_matched", lambda board, leading: ranks[board.name])
    monkeypatch.setattr(
        agreement, "hardest", lambda board: {n: joint(n, kind, 0.1) for n, kind in kinds[board.name].items()}
    )
    boards_ = [SimpleNamespace(name=name, keys_only=True) for name in ("one", "two")]
    found = agreement.agreement("first", "second", *boards_)
    assert (found.one, found.other, found.same, found.judged, found.reason) == ("first", "second", 1, 2, "")
    assert found.left == (("b", 0.1, 0.0), ("c", 0.2, 0.2), ("d", 0.3, 0.4), ("e", 0.4, 0.6), ("f", 0.5, 0.8))
    assert found.correlation.value == pytest.approx(1.0)
    del ranks["two"]["f"]
    few = agreement.agreement("first", "second", *boards_)
    assert (few.correlation, few.reason) == (None, "4 families are ranked on both, of at least 5")
    ranks["two"] = dict.fromkeys("bcdef", 0.5)
    assert agreement.agreement("first", "second", *boards_).reason == "on one of them all families are equal"
    names = [(one.one, one.other) for one in agreement.agreements(["p", "q", "r"], [boards_[0], boards_[1], boards_[0]])]
    assert names == [("p", "q"), ("p", "r"), ("q", "r")]


@pytest.mark.parametrize(
    ("sides", "leading"), [((True, True), [True, True]), ((False, False), [True, True]), ((True, False), [False, False])]
)
def test_testbeds_of_which_one_has_no_content_are_compared_by_keys(monkeypatch, sides, leading):
    asked = []
    monkeypatch.setattr(agreement, "_matched", lambda board, leading: asked.append(leading) or {})
    agreement._left(*(SimpleNamespace(keys_only=side) for side in sides))
    assert asked == leading


def test_families_stand_side_by_side_those_of_most_testbeds_first(monkeypatch):
    told = [{"a": 1, "b": 2}, {"b": 3}, {"c": 4, "b": 5}]
    monkeypatch.setattr(agreement_report, "_of_testbed", lambda board, number, answer: told[number])
    monkeypatch.setattr(agreement_report, "_pair", lambda number, one: (number, one))
    board = SimpleNamespace(testbeds=[SimpleNamespace(title=title) for title in "xyz"], agreements=["xy", "xz", "yz"])
    found = agreement_report.side_by_side(board, [None] * 3)
    assert found.titles == ["x", "y", "z"]
    assert found.lines == [("b", [2, 3, 5]), ("a", [1, None, None]), ("c", [None, None, 4])]
    assert found.pairs == [(0, "xy"), (1, "xz"), (2, "yz")]


# Autoencoders, halves, answers of a whole case


def test_an_autoencoder_is_taken_from_the_file_or_trained(tmp_path, monkeypatch):
    read, trained = {"a": torch.ones(2)}, {"b": torch.zeros(3)}
    monkeypatch.setattr(weights.provenance, "describe", lambda value: "described")
    monkeypatch.setattr(weights, "read_autoencoder", lambda recipe, file: (read, 7.5) if file == "file" else None)
    monkeypatch.setattr(
        weights, "train_autoencoder", lambda recipe, network, images, mark, rng: SimpleNamespace(state=lambda: trained)
    )
    of = case()
    of.testbed.autoencoder_file = "file"
    keep = {}

    def stored(kind, key, modules, build, label=""):
        build(tmp_path / label / str(len(keep)))
        return tmp_path / label / str(len(keep))

    for sha256, names in (("abc", ["a"]), ("", ["b"])):
        recipe = SimpleNamespace(sha256=sha256, seen=100)
        folder = weights._stored_space(recipe, of, SimpleNamespace(stored=stored))
        cost = json.loads((folder / "build.json").read_text())
        assert (cost["forward"], cost["encoded"], cost["decoded"]) == (0, 100, 100)
        assert (cost["seconds"] == 7.5) is bool(sha256)
        assert [*weights.load_file(folder / "space.safetensors")] == names
        of.testbed.autoencoder = recipe
        monkeypatch.setattr(weights, "_stored_space", lambda *words, folder=folder: folder)
        assert weights.space_cost(of, None) == cost
        monkeypatch.undo()
        monkeypatch.setattr(weights.provenance, "describe", lambda value: "described")
        monkeypatch.setattr(weights, "train_autoencoder", lambda *words: SimpleNamespace(state=lambda: trained))
        keep[sha256] = folder
    of.testbed.autoencoder = None
    assert weights.space_cost(of, None) is None


def test_halves_are_handed_out_with_the_data_and_count_as_the_model(monkeypatch):
    halves = [SimpleNamespace(evaluations="own", name=name) for name in ("first", "second")]
    monkeypatch.setattr(weights, "halves_or_load", lambda case, workspace: [(half, None) for half in halves])
    blind, model = SimpleNamespace(handed_out={"forget": "images"}), SimpleNamespace(evaluations="its")
    found = weights.at_sampling(None, blind, None, model)
    assert found == {"forget": "images", **dict(zip(weights.HALVES, halves, strict=False))}
    assert [half.evaluations for half in halves] == ["its", "its"]
    changed = weights.at_sampling(None, blind, None, model, lambda half: SimpleNamespace(of=half.name))
    assert [changed[name].of for name in weights.HALVES] == ["first", "second"]


def test_whether_a_model_is_trained_and_who_helps(monkeypatch):
    ran = []
    training = SimpleNamespace(key="key", run=lambda: ran.append("run"))
    monkeypatch.setattr(weights._Training, "of", lambda case, workspace: training)
    asked = []
    workspace = SimpleNamespace(has=lambda kind, key, modules: asked.append((kind, key)) or True)
    assert weights.is_trained(None, workspace) is True
    assert asked == [("trained model", "key")]
    weights.help_to_train(None, workspace)
    assert ran == ["run"]


def test_plain_generation_is_asked_by_one_query_stored_unless_a_split_is_given(monkeypatch):
    monkeypatch.setattr(answers, "replace", lambda case, **more: SimpleNamespace(**{**vars(case), **more}))
    monkeypatch.setattr(
        answers, "ask_query", lambda case, name, model, workspace, blind: ("asked", case.queries, name, blind)
    )
    monkeypatch.setattr(answers, "ask_or_load", lambda case, name, model, workspace: ("stored", case.queries, name))
    of = SimpleNamespace(queries="others")
    queries = (("caption-only", answers.CaptionOnly()),)
    assert answers.ask_plainly(of, None, None) == ("stored", queries, "caption-only")
    assert answers.ask_plainly(of, None, None, "blind") == ("asked", queries, "caption-only", "blind")


def test_sources_have_the_p_of_what_was_generated_or_a_reason(monkeypatch):
    of = SimpleNamespace(blind=SimpleNamespace(split=SimpleNamespace(fresh_labels=np.array([0, 1, 2]))), seed=0)
    judge = SimpleNamespace(classify=lambda images: np.array([0, 1, 2, 0, 1]))
    of.testbed = SimpleNamespace(judge=lambda: judge)
    refused = np.array([False, True, False, False, False])
    made = SimpleNamespace(images=torch.zeros(5, 1, 2, 2), refused=refused, cost={"forward": 3})
    seen = {}

    def follows(shown, named):
        seen.update(shown=shown.tolist(), named=named.tolist())
        return SimpleNamespace(p=0.25, count=2, of=5)

    for name, value in (("exchanged", None), ("_generate", made), ("_not_asked", None)):
        monkeypatch.setattr(sources, name, lambda *words, value=value: value)
    monkeypatch.setattr(sources, "follows_words", follows)
    assert sources.find(of, None, None) == {"p": 0.25, "count": 2, "of": 5, "evaluations": {"forward": 3}}
    assert seen == {"shown": [0, -1, 2, 0, 1], "named": [0, 1, 2, 0, 1]}
    monkeypatch.setattr(sources, "_not_asked", lambda case, model: "why")
    assert sources.find(of, None, None) == {"p": None, "reason": "why"}


@pytest.mark.parametrize(("queried", "company", "batch", "count"), [(20, 5, 8, 1), (20, 4, 8, 8), (2, 3, 8, 5)])
def test_exchanged_words_are_asked_in_a_batch_like_the_last_one(monkeypatch, queried, company, batch, count):
    asked = {}

    class Audit:
        def __init__(self, examples, mark, solver, service, seed, purpose, company):
            asked.update(examples=examples, company=company, purpose=purpose)

        def generate(self):
            asked["generated"] = True

    class Company:
        def __init__(self):
            self.captions = [f"c{n}" for n in range(company)]
            self.observed, self.mask = torch.arange(company), torch.arange(company) + 100

        def __len__(self):
            return company

    queried_ = type("Queried", (), {"__len__": lambda self: queried, "take": lambda self, rows: ("taken", rows)})()
    split = SimpleNamespace(queried=queried_, mark="mark")
    of = SimpleNamespace(
        blind=SimpleNamespace(split=split), solver=SimpleNamespace(batch=batch), seed=3, composition=Parts()
    )
    monkeypatch.setattr(sources, "fresh_captions", lambda split, solver: Company())
    monkeypatch.setattr(sources.weights, "at_sampling", lambda *words: "handed")
    monkeypatch.setattr(
        sources, "Service", lambda model, parts, seed, purpose, data: (model, parts.stage, seed, purpose, data)
    )
    monkeypatch.setattr(sources, "Audit", Audit)
    monkeypatch.setattr(sources, "generated_along", lambda audit, evaluations, seconds: ("made", None, None))
    assert sources._generate(of, "model", SimpleNamespace(progress="progress")) == "made"
    rows = [n % company for n in range(count)]
    found = asked["company"]
    assert (found.captions, found.observed.tolist()) == ([f"c{n}" for n in rows], rows)
    assert (found.mask.tolist(), found.numbers) == ([100 + n for n in rows], list(range(-count, 0)))
    assert (asked["examples"], asked["purpose"], asked["generated"]) == (("taken", []), sources.PURPOSE, True)


def test_a_pipeline_is_compared_with_the_stock_one_over_the_target_images():
    rng = np.random.default_rng(0)
    keys = rng.random((6, 2))
    own, stock = np.clip(keys + 0.1 * rng.random((6, 2)), 0, 1), np.clip(keys + 0.3 * rng.random((6, 2)), 0, 1)
    beside = pipeline.Beside({"pipeline": "Theirs"}, 4, SimpleNamespace(trained=stock))
    given = {
        "outpaint": SimpleNamespace(trained=own, warnings=("a", "b")),
        "x": SimpleNamespace(trained=own, warnings=("b", "c")),
    }
    of = SimpleNamespace(groups={"target": [0, 2, 3, 5]}, leading="outpaint")
    truth = SimpleNamespace(trained_keys=torch.from_numpy(keys))
    block = pipeline.as_block(beside, truth, of, given)
    assert (block["identity"], block["batch"], block["warnings"]) == ({"pipeline": "Theirs"}, 4, ["a", "b", "c"])
    rows = [0, 2, 3, 5]
    m = [pipeline.scores.memorization(each[rows], keys[rows]).value for each in (own, stock)]
    assert block["stock"]["memorization"]["value"] == pytest.approx(m[1])
    assert (block["stock"]["difference"]["value"], block["stock"]["difference"]["images"]) == (pytest.approx(m[0] - m[1]), 4)
    assert pipeline.as_block(replace(beside, stock=None), truth, of, given)["stock"] is None
    assert pipeline.as_block(None, truth, of, given) is None


def test_the_stock_pipeline_is_asked_beside_a_strangers_and_not_beside_itself(monkeypatch):
    service = SimpleNamespace(pipeline=SimpleNamespace(identity="identity", batch=4))
    monkeypatch.setattr(pipeline, "Service", lambda model, parts, seed: service)
    monkeypatch.setattr(pipeline, "stock_twin", lambda part: "twin")
    monkeypatch.setattr(pipeline, "Composition", lambda parts: ("composed", *parts))
    monkeypatch.setattr(pipeline, "replace", lambda case, **more: SimpleNamespace(**{**vars(case), **more}))
    monkeypatch.setattr(pipeline, "ask_cached", lambda case, name, model, workspace: (case.composition, name))
    part = SimpleNamespace(mitigation="theirs")
    of = SimpleNamespace(composition=Parts(parts=("other", part)), seed=0, leading="outpaint")
    monkeypatch.setattr(pipeline, "answering_part", lambda composition: part)
    found = pipeline.find(of, "model", "workspace")
    assert (found.identity, found.batch, found.stock) == ("identity", 4, (("composed", "other", "twin"), "outpaint"))
    part.mitigation = pipeline.StockPipeline.__new__(pipeline.StockPipeline)
    assert pipeline.find(of, "model", "workspace").stock is None
    monkeypatch.setattr(pipeline, "answering_part", lambda composition: None)
    assert pipeline.find(of, "model", "workspace") is None


def test_an_experiment_scores_the_target_and_says_where_it_acted(monkeypatch):
    rng = np.random.default_rng(0)
    keys, told = rng.random((4, 2)), rng.random((4, 2))
    of = SimpleNamespace(groups={"target": [1, 2, 3]}, truth=SimpleNamespace(trained_keys=torch.from_numpy(keys)))
    found = SimpleNamespace(trained=told, doses={"b": {"acted_on": 0.75}})
    builds = [SimpleNamespace(reported={"a": {"acted_on": 0.25}})]
    mine = experiments.Experiments(workspace=None)
    monkeypatch.setattr(experiments.Experiments, "_answered", lambda self, *words: (of, found, builds))
    expected = experiments.scores.memorization(told[1:], keys[1:])
    assert mine.measure_recall(None, 0, "x") == expected
    assert mine.measure_action(None, 0, SimpleNamespace(parts=[1, 2]), "outpaint", None) == 0.75
    assert mine.measure_action(None, 0, SimpleNamespace(parts=[1, 2, 3]), "outpaint", None) is None


# Collections


def test_a_checkpoint_of_a_part_takes_the_place_of_the_bases(tmp_path, monkeypatch):
    part, base = tmp_path / "checkpoint-5", tmp_path / "base"
    for folder in (part / "unet", base):
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(folder.name.encode())
    asked = []

    class Unet:
        def to(self, device):
            asked.append(device)
            return self

        def eval(self):
            asked.append("eval")
            return self

        @classmethod
        def from_pretrained(cls, path, torch_dtype, local_files_only):
            asked.append((path, torch_dtype, local_files_only))
            return cls()

    pipe = SimpleNamespace(unet=Unet())
    before = pipe.unet
    monkeypatch.setattr(loading, "quiet", nullcontext)
    monkeypatch.setattr(loading, "load", lambda *words: (pipe, {"name": "base", "sha256": "x"}))
    found, model = loading.load_checkpoint(str(base), part, "cpu", "float16")
    assert found.unet is not before
    assert asked == [(part / "unet", torch.float16, True), "cpu", "eval"]
    files = [("weights", base / "weights"), ("weights", part / "unet" / "weights")]
    assert model == {"name": "base with checkpoint-5", "sha256": loading.digest(files)}
    assert [path for path, *_ in loading.each(str(base), tmp_path, "cpu", "float32")] == [part]


OPTIONS = {
    "model": "m", "checkpoints": None, "ledger": Path("l"), "marked": Path("o"), "into": Path("i"), "lora": Path("lora"),
    "pipeline_class": "C", "pipeline_call": "f", "steps": 2, "guidance": 3.5, "batch": 4, "seed": 5, "limit": 6,
    "resolution": 7, "content": True, "without_captions": False, "device": "cuda", "dtype": "float16",
}  # fmt: skip


@pytest.mark.parametrize("sound", [True, False])
def test_a_measurement_is_asked_as_the_options_say(monkeypatch, capsys, sound):
    asked = {}
    monkeypatch.setattr(pipelines, "checked_device", lambda name: asked.update(device=name))
    monkeypatch.setattr(console, "opened", lambda options: "collection")
    monkeypatch.setattr(loading, "load", lambda *words: asked.update(load=words) or ("pipe", "model"))
    record = {"sound": sound}
    monkeypatch.setattr(measuring, "measure", lambda *words: asked.update(measure=words[:5]) or record)
    monkeypatch.setattr(showing, "lines", lambda record: "lines")
    assert console._measure(Namespace(**OPTIONS)) == (0 if sound else 1)
    assert asked["device"] == "cuda"
    assert asked["load"] == ("m", Path("lora"), "cuda", "float16", "C", "f")
    pipe, model, of, query, into = asked["measure"]
    assert (pipe, model, of, into) == ("pipe", "model", "collection", Path("i"))
    assert (query.steps, query.guidance, query.batch, query.seed, query.limit, query.resolution) == (2, 3.5, 4, 5, 6, 7)
    assert (query.content, query.captions) == (True, True)
    assert capsys.readouterr().out == "lines\nwritten to i\n"
    with pytest.raises(InvalidValue, match="no model"):
        console._measure(Namespace(**{**OPTIONS, "model": None}))


@pytest.mark.parametrize(("second", "status"), [(True, 0), (False, 1)])
def test_every_checkpoint_is_measured_and_the_curve_is_written(tmp_path, monkeypatch, capsys, second, status):
    paths, seen = [Path("a/checkpoint-5"), Path("a/checkpoint-10")], []
    monkeypatch.setattr(pipelines, "checked_device", lambda name: name)
    monkeypatch.setattr(console, "opened", lambda options: "collection")
    monkeypatch.setattr(
        loading, "each", lambda *words, lora: seen.append((*words, lora)) or [(path, "pipe", "model") for path in paths]
    )
    sound = iter((True, second))
    monkeypatch.setattr(measuring, "measure", lambda *words: seen.append(words[4]) or {"sound": next(sound)})
    monkeypatch.setattr(showing, "curve_rows", lambda found: [(name, step) for name, step, _ in found])
    monkeypatch.setattr(showing, "as_csv", str)
    monkeypatch.setattr(showing, "as_table", lambda rows: f"table {rows}")
    options = Namespace(**{**OPTIONS, "checkpoints": Path("a"), "into": tmp_path})
    assert console._measure(options) == status
    how = ("cuda", "float16", "C", "f", Path("lora"))
    assert seen == [("m", Path("a"), *how), tmp_path / "checkpoint-5", tmp_path / "checkpoint-10"]
    told = "[('checkpoint-5', 5), ('checkpoint-10', 10)]"
    assert (tmp_path / "curve.csv").read_text() == told
    assert capsys.readouterr().out == f"table {told}\nwritten to {tmp_path}\n"


@pytest.mark.parametrize(("ledger", "folder"), [(None, "out.ledger"), (Path("mine"), "mine")])
@pytest.mark.parametrize("encrypt", [True, False])
def test_a_marking_is_made_as_the_options_say(monkeypatch, capsys, ledger, folder, encrypt):
    asked = {}
    rows = [
        SimpleNamespace(split=split, copy_of=copy) for split, copy in (("trained", None), ("trained", 0), ("held-out", None))
    ]
    made = SimpleNamespace(ledger=SimpleNamespace(rows=rows, commitment="c"), left_out={}, uncaptioned=2, same_caption=0)
    monkeypatch.setattr(marking_module, "mark", lambda *words, **more: asked.update(words=words, **more) or made)
    monkeypatch.setattr(console, "passphrase", lambda options: "word")
    monkeypatch.setattr(console, "_images", lambda options, folder: nullcontext(options.images))
    options = Namespace(images=Path("images"), out=Path("out"), ledger=ledger, keys=8, thickness=2, inside=True, size=64,
                        hold_out=0.25, caption_column="text", encrypt=encrypt, workers=3)  # fmt: skip
    assert console._mark(options) == 0
    images, out, where, style = asked["words"]
    assert (images, out, where) == (Path("images"), Path("out"), Path(folder))
    assert (style.segments, style.thickness, style.inside, style.size) == (8, 2, True, 64)
    assert (asked["hold_out"], asked["caption_column"], asked["workers"]) == (0.25, "text", 3)
    assert asked["passphrase"] == ("word" if encrypt else None)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "2 images are marked in out: hand this folder out"
    assert said[1] == f"1 are held out in {folder}/held_out: nobody may train on them"
    assert said[2:4] == [
        "1 are copies of others: they share their keys, and are asked and counted once",
        "2 have no caption: a model is asked for them without one",
    ]
    assert said[4:] == ["commitment c", f"  publish {folder}/commitment.json before anybody trains",
                        f"keep {folder} secret: whoever has it can forge answers"]  # fmt: skip
