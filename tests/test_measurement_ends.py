"""The ends of a measurement: answers as they are kept, checksums by hand, keys of a memorizer, floors, and files."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from worlds import split

from solidmark import Needs, keys
from solidmark.data import Examples
from solidmark.measurement import (
    answers,
    content,
    floor,
    generation,
    measure,
    per_image,
    responses,
    sources,
    untouched,
    weights,
)
from solidmark.measurement.case import Case, Workspace, plain, slug_of
from solidmark.metrics.controls import Marks
from solidmark.models import Evaluations
from solidmark.queries import Access, Answer
from solidmark.schema.numbers import Estimate

LAID = split(6, 20)
KEYS = np.linspace(0, 1, 26 * 8).reshape(26, 8)


def audited(**more):
    """An audit of LAID whose company took a quarter of the work."""
    audit = SimpleNamespace(decoy_errors=[], refused=[], keys=torch.from_numpy(KEYS) / 2, company=None)
    audit.service = SimpleNamespace(warnings=["odd", "strange"], doses={"x": {"a": 1.0}})
    vars(audit).update(more)
    return audit


@pytest.mark.parametrize("pictures", [True, False])
def test_answers_have_the_looks_of_held_out_marks_and_all_that_was_told(monkeypatch, pictures):
    images = torch.rand(26, 1, 12, 12) if pictures else None
    monkeypatch.setattr(answers.marks, "unevenness", lambda mark, given: (mark is LAID.mark, len(given)))
    errors = [torch.arange(26.0), torch.arange(26.0) * 3]
    refused = [torch.arange(26) < 2, torch.arange(26) > 20]
    fresh = ("fresh", Evaluations(forward=3), 1.5)
    monkeypatch.setattr(answers, "generated_along", lambda audit, evaluations, seconds: fresh)
    found = answers._responses(
        Answer(torch.from_numpy(KEYS).float(), images),
        LAID,
        audited(decoy_errors=errors, refused=refused),
        Evaluations(forward=9),
        6.0,
    )
    looks = found.marks
    held_out = KEYS.astype(np.float32)[6:]
    assert looks.spread == pytest.approx(float(held_out.astype(float).std()))
    assert looks.unevenness == ((True, 20) if pictures else 0.0)
    assert looks.decoy_error == pytest.approx(np.mean([np.arange(6, 26).mean(), 3 * np.arange(6, 26).mean()]))
    assert (found.count, found.fresh, found.evaluations, found.seconds) == (6, "fresh", Evaluations(forward=3), 1.5)
    assert found.refused.tolist() == torch.stack(refused).tolist()
    assert (found.warnings, found.doses) == (("odd", "strange"), {"x": {"a": 1.0}})
    assert found.planted == pytest.approx(KEYS / 2)
    assert found.images is images
    bare = answers._responses(Answer(torch.from_numpy(KEYS)), LAID, audited(), Evaluations(), 1.0)
    assert (bare.refused, bare.marks.decoy_error, bare.marks.unevenness) == (None, None, 0.0)


def test_work_without_company_is_all_the_queries_own():
    for company in (None, SimpleNamespace(answers=None, refused=1), SimpleNamespace(answers=1, refused=None)):
        spent = Evaluations(forward=9)
        assert answers.generated_along(SimpleNamespace(company=company), spent, 2.0) == (None, spent, 2.0)


def test_a_memorizer_has_each_training_image_once_in_its_order_under_keys_of_its_own():
    count = 5
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    training = Examples(images[[3, 1, 3, 4, 0]], ["d", "b", "d", "e", "a"], [30, 10, 30, 40, 0])
    trained = Examples(images[[4, 3, 1]], ["e", "d", "b"], [40, 30, 10])
    marked = []
    laid = SimpleNamespace(training=training, trained=trained, mark=SimpleNamespace(segments=4))
    laid.marked = lambda examples, drawn: marked.append((examples, drawn)) or "marked"
    found, own = answers._under_own_keys(laid, 9)
    drawn = keys.draw(4, 4, answers.seeds.numpy_rng(9, "keys of the perfect memorizer"))
    ((once, given),) = marked
    assert (found, once.ids, once.captions) == ("marked", [30, 10, 40, 0], ["d", "b", "e", "a"])
    assert given.tolist() == torch.from_numpy(drawn).float().tolist()
    assert own.tolist() == drawn[[2, 0, 1]].tolist()


def test_power_is_what_is_read_of_the_memorizer_with_the_leak_to_the_true_keys(monkeypatch):
    remembered, found = LAID.trained_keys.double().numpy() / 2, SimpleNamespace(trained=KEYS[:6])
    asked = []
    monkeypatch.setattr(answers.weights, "train_space_or_load", lambda bare, workspace: ("space", bare, workspace))
    monkeypatch.setattr(answers, "disguised_memorizer", lambda *given: asked.append(given) or ("model", remembered))
    monkeypatch.setattr(answers, "ask_query", lambda *given: asked.append(given) or found)
    monkeypatch.setattr(answers.scoring, "negative", lambda predicted, true: (predicted.tolist(), true.tolist()))
    monkeypatch.setattr(answers.scores, "memorization", lambda predicted, own: (predicted.tolist(), own.tolist()))
    bare, workspace = SimpleNamespace(truth=LAID), SimpleNamespace(device="a device")
    power = answers._power(bare, "x", workspace)
    assert power.estimate == (KEYS[:6].tolist(), remembered.tolist())
    assert power.leak == (KEYS[:6].tolist(), LAID.trained_keys.double().tolist())
    assert asked == [(bare, "x", ("space", bare, workspace), "a device"), (bare, "x", "model", workspace)]


@pytest.mark.parametrize("forgets", [True, False])
def test_an_auditor_learns_from_what_was_kept_or_from_others_under_keys_of_their_own(forgets):
    blind = SimpleNamespace(split=LAID, handed_out={"retain": "kept"})
    case = SimpleNamespace(composition=SimpleNamespace(needs=Needs.FORGET if forgets else Needs.NOTHING), seed=3)
    found = answers._others(case, blind)
    if forgets:
        assert found == "kept"
    else:
        count = len(LAID.calibration)
        drawn = torch.from_numpy(keys.draw(count, 8, answers.seeds.numpy_rng(3, "keys of other images"))).float()
        assert torch.equal(found.images, LAID.marked(LAID.calibration, drawn).images)


def test_doses_are_reported_of_each_query_that_had_some():
    found = {name: SimpleNamespace(refused=None, doses=doses) for name, doses in (("a", {"x": 1}), ("b", {}))}
    case = SimpleNamespace(composition=SimpleNamespace(stages=[answers.Stage.SAMPLING]))
    case.attack = lambda name: SimpleNamespace(access=Access.BLACK_BOX)
    generated = SimpleNamespace(refused=np.array([True, False, False]))
    share = {"value": 1 / 3, "count": 1, "of": 3}
    told = {"refused": {"generated": share, "queries": {}}, "doses": {"a": {"x": 1}}}
    assert answers.sampling_report(case, found, generated) == told
    assert "doses" not in answers.sampling_report(case, {"b": found["b"]}, generated)


# Checksums


def test_a_checksum_is_the_sum_of_words_by_random_numbers_chunk_by_chunk(monkeypatch):
    monkeypatch.setattr(untouched, "CHUNK", 4)
    multipliers = torch.arange(1, 5) * 10**17
    monkeypatch.setattr(untouched, "_multipliers", lambda device: multipliers if device == "cpu" else None)
    factors, values = untouched._numbers(untouched.SECRET), {}
    state = {"b": torch.arange(11, dtype=torch.int32), "a": torch.tensor([[1.5, -2.0, 7.0]]), "c": torch.arange(5).byte()}
    for name in sorted(state):
        raw = state[name].numpy().tobytes()
        raw += bytes(-len(raw) % 4)
        words = np.frombuffer(raw, dtype=np.int32).astype(np.int64)
        total = 0
        for start in range(0, len(words), 4):
            products = [int(word) * int(m) for word, m in zip(words[start : start + 4], multipliers, strict=False)]
            wrapped = (sum(products) + 2**63) % 2**64 - 2**63
            total += wrapped * next(factors)
        shape = hash((state[name].dtype, tuple(state[name].shape)))
        values[name] = (total + state[name].ndim + shape) % 2**64
    assert untouched.checksum(state) == values
    assert untouched.checksum(dict(reversed(state.items()))) == values


def test_the_numbers_of_a_checksum_are_signed_and_drawn_from_their_seed():
    import random

    drawn, found = random.Random(5), untouched._numbers(5)
    assert [next(found) for _ in range(50)] == [drawn.getrandbits(64) - 2**63 for _ in range(50)]
    few = untouched._multipliers("cpu")
    rng = torch.Generator().manual_seed(untouched.SECRET)
    expected = torch.randint(-(2**63), 2**63 - 1, (untouched.CHUNK,), dtype=torch.int64, generator=rng)
    assert torch.equal(few, expected)
    assert untouched._multipliers("cpu") is few


class Toy:
    """A model of two weights and a space."""

    def __init__(self):
        self.network, self.text = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
        self.space = SimpleNamespace(state=lambda: {"space.a": torch.ones(2)})


def test_a_fingerprint_is_made_once_until_a_weight_changes(monkeypatch):
    made, given = [], Toy()
    monkeypatch.setattr(weights, "digest", lambda value: made.append(value) or f"digest {len(made)}")
    assert [weights.fingerprint(given) for _ in range(3)] == ["digest 1"] * 3
    with torch.no_grad():
        given.network.weight[0] += 1
    assert [weights.fingerprint(given) for _ in range(2)] == ["digest 2"] * 2
    assert weights.fingerprint(Toy()) == "digest 3"
    assert [*made[0]] == [*weights.state(given)] == ["network.weight", "text.weight", "space.a"]
    assert [name for name in made[0] if made[0][name] != made[1][name]] == ["network.weight"]


def test_a_model_comes_back_with_what_its_building_cost_and_told(monkeypatch, tmp_path):
    saved = SimpleNamespace(save=lambda folder: (folder / "model").write_text("weights"))
    info = weights.BuildInfo({"forward": 1, "backward": 2, "seconds": 3.0}, {"x": {"a": 1}})
    weights._save(saved, tmp_path, info)
    loaded = SimpleNamespace(to=lambda device: ("moved to", device))
    monkeypatch.setattr(weights.models, "load", lambda folder: loaded if (folder / "model").exists() else None)
    assert weights._load(tmp_path, SimpleNamespace(device="a device")) == (("moved to", "a device"), info)


# Judged pictures, sources


@pytest.mark.parametrize(
    ("judge", "reason", "judged"),
    [(None, None, False), ("judge", "too few", False), ("judge", None, True), ("clip", None, True)],
)
def test_pictures_are_judged_where_there_is_a_judge_and_enough_of_them(monkeypatch, judge, reason, judged):
    made = SimpleNamespace(clip="its clip") if judge == "clip" else judge
    monkeypatch.setattr(generation, "no_utility", lambda case, split: reason)
    monkeypatch.setattr(generation.utility, "measure", lambda *given: "utility")
    monkeypatch.setattr(generation, "_with_captions", lambda *given: ("with captions", *given))
    case = SimpleNamespace(testbed=SimpleNamespace(judge=lambda: made, tells_class=False))
    ways = {generation.FRESH: SimpleNamespace(images=torch.zeros(2, 1, 2, 2), refused="refused")}
    found = generation.judge(case, LAID, ways)
    plain_ = {generation.FRESH: "utility"}
    told = ("with captions", "its clip", LAID, ways, plain_) if judge == "clip" else plain_
    assert found == (told if judged else None)


@pytest.mark.parametrize(("tells", "judges", "asked"), [(True, True, True), (False, True, False), (True, False, False)])
def test_words_are_exchanged_where_captions_name_classes_that_a_judge_knows(tells, judges, asked):
    testbed, labels = SimpleNamespace(tells_class=tells, has_judge=judges), SimpleNamespace(fresh_labels=np.arange(9) % 8)
    case = SimpleNamespace(composition=SimpleNamespace(stages=[answers.Stage.SAMPLING]), testbed=testbed)
    case.blind = SimpleNamespace(split=labels)
    text = SimpleNamespace(exchange_classes=None)
    given = SimpleNamespace(config=SimpleNamespace(classes=tuple("abcdefgh")), text=text)
    assert (sources._not_asked(case, given) is None) is asked


# Floors, blocks, files


@pytest.mark.parametrize(
    ("autoencoder", "cost", "shipped"),
    [(None, None, True), (SimpleNamespace(sha256="abc"), {"forward": 1}, True), (SimpleNamespace(sha256=""), {}, False)],
)
def test_a_floor_has_the_cost_of_the_autoencoder_and_whether_it_came_with_the_testbed(
    monkeypatch, autoencoder, cost, shipped
):
    asked = []
    monkeypatch.setattr(floor.weights, "train_space_or_load", lambda case, workspace: SimpleNamespace(factor=2))
    monkeypatch.setattr(floor.weights, "space_cost", lambda case, workspace: cost)
    read = LAID.held_out_keys.double() * 0.5 + 0.1
    monkeypatch.setattr(floor, "read_back", lambda space, mark, images: asked.append((mark, images)) or read)
    case = SimpleNamespace(testbed=SimpleNamespace(autoencoder=autoencoder))
    found = floor.measure_floor(case, LAID, SimpleNamespace(device="cpu"))
    errors = (read - LAID.held_out_keys.double()).numpy()
    assert (found["key_error"], found["bias"]) == (pytest.approx(np.abs(errors).mean()), pytest.approx(errors.mean()))
    assert (found["factor"], found["shipped"], found.get("training")) == (2, shipped, cost)
    ((mark, images),) = asked
    assert mark is LAID.mark
    assert torch.equal(images, LAID.marked(LAID.held_out, LAID.held_out_keys).images)
    ceiling = floor.scores.memorization(read.numpy(), LAID.held_out_keys.double().numpy())
    assert found["ceiling"] == floor.scoring.interval(ceiling)
    monkeypatch.setattr(floor.weights, "train_space_or_load", lambda case, workspace: None)
    assert floor.measure_floor(case, LAID, None) is None


@pytest.mark.parametrize(("missing", "pictures"), [(False, True), (True, True), (False, False)])
def test_blocks_are_scored_where_every_image_has_one(monkeypatch, missing, pictures):
    asked, decoys = [], []

    def decoy(seed, number, marked, cell):
        decoys.append((seed, number, cell))
        block = torch.zeros(12, 12, dtype=torch.bool)
        if not (missing and len(decoys) == 5):
            block[3 + number % 2, 4:6] = True
        return block

    monkeypatch.setattr(content.queries, "decoy", decoy)
    monkeypatch.setattr(content.patches, "block_scores", lambda *given: asked.append(given) or "scores")
    network = SimpleNamespace(factor=4)
    case = SimpleNamespace(blind=SimpleNamespace(split=LAID), seed=7)
    case.testbed = SimpleNamespace(recipe=SimpleNamespace(network=network))
    views = SimpleNamespace(images="images", spare="spare")
    answered = torch.rand(26, 1, 12, 12)
    outpainted = SimpleNamespace(images=answered if pictures else None)
    found = content._block_scores(case, views, outpainted)
    assert found == ("scores" if pictures and not missing else None)
    if pictures:
        assert decoys == [(7, number, 4) for number in LAID.queried.ids]
    for shown, images, spare, blocks in asked:
        assert (images, spare, blocks.shape, blocks.sum()) == ("images", "spare", (26, 8, 8), 52)
        assert [bool(block[1 + number % 2, 2:4].all()) for block, number in zip(blocks, LAID.queried.ids, strict=True)]
        assert shown.tolist() == LAID.mark.content(answered).double().tolist()
    assert content._block_scores(case, views, None) is None


def test_a_file_of_images_has_its_columns_and_no_index(tmp_path):
    found = responses.Responses(KEYS, 6, Marks(0.1, 0.2, None), Evaluations(), 1.0, None)
    block = per_image.write("x", LAID, {"a": found, "b": found}, tmp_path)
    schema = pq.read_schema(tmp_path / block["path"])
    names = "query image caption trained forget key prediction distance p_value combined_p as_trained as_asked as_answered"
    assert schema.names == names.split()
    assert json.loads(schema.metadata[b"pandas"])["index_columns"] == []
    table = pq.read_table(tmp_path / block["path"]).to_pydict()
    assert table["query"] == ["a"] * 26 + ["b"] * 26
    assert table["image"][:26] == [*LAID.trained.ids, *LAID.held_out.ids]
    assert table["caption"][:26] == [*LAID.trained.captions, *LAID.held_out.captions]
    shown = [index for index, one in enumerate(table["as_trained"][:26]) if one is not None]
    assert shown == [*range(6), 6, 7, 8]
    true = torch.cat([LAID.trained_keys, LAID.held_out_keys])
    both = LAID.marked(LAID.trained, LAID.trained_keys).images
    assert table["as_trained"][2] == per_image._png(both[2])
    assert table["as_asked"][7] == per_image._png(LAID.queried.images[7])
    assert np.array(table["key"][:26]) == pytest.approx(true.double().numpy())
    assert np.array(table["prediction"][:26]) == pytest.approx(KEYS)
    p = per_image.scores.p_values(KEYS, true.double().numpy())
    assert np.array(table["p_value"][:26]) == pytest.approx(p)
    assert table["combined_p"][:26] == pytest.approx(per_image.scores.combine(p))


def test_what_asks_nothing_is_told_to_three_places():
    same = SimpleNamespace(keys=np.tile([1 / 3, 0.98765], (4, 1)), planted=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "_negative", lambda truth, found: None)
        patch.setattr(measure.controls, "leaks", lambda name, block: [])
        case = SimpleNamespace(leading="a")
        (fault,) = measure._faults(case, None, "b", same, answers.Power(None))
    assert fault == "b: the same keys for every image, [0.333, 0.988]: it asks nothing"


def test_a_case_has_a_name_a_leading_query_and_groups():
    composition = SimpleNamespace(family="x y", needs=Needs.NOTHING, parts=[])
    composition.parts = [SimpleNamespace(distinguishing={"a": 0.12345, "b": "c/d"}), SimpleNamespace(distinguishing={})]
    case = Case("digits(trained=8)", "testbed", composition, 3, (("first", "A"), ("second", "B")))
    assert case.slug == "digits-trained-8-x-y-0.123-c-d-s3"
    assert (case.leading, case.attack("second"), case.marked, case.half) == ("first", "B", True, None)
    assert (slug_of("a", "b", "", 0), plain("//"), plain(0.5), plain("A_b.c+d-1")) == ("a-b-s0", "-", "0.5", "A_b.c+d-1")
    vars(case)["blind"] = SimpleNamespace(split=SimpleNamespace(trained=range(5), forget=[1, 3]))
    assert case.groups == {"target": [0, 1, 2, 3, 4]}
    composition.needs = Needs.FORGET
    assert case.groups == {"target": [1, 3], "retained": [0, 2, 4]}
    truth = SimpleNamespace(training_keys="keys")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Case, "truth", truth)
        assert (case.training_keys, replace(case, marked=False).training_keys) == ("keys", None)


def test_a_workspace_is_shown_without_who_watches():
    assert "progress" not in repr(Workspace("store", "cpu", progress="somebody"))
    assert Workspace("store").device == "cpu"
    assert Workspace("store").crew is None


def test_power_is_an_interval_or_nothing():
    given = {"a": answers.Power(Estimate(0.5, 0.25, 0.75)), "b": answers.Power(None)}
    assert measure._power(given) == {"a": {"value": 0.5, "low": 0.25, "high": 0.75}, "b": None}
