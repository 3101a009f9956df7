"""Answers: what a query is given and what it costs, which rows share it, and plain generation, on a perfect memorizer."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from solidmark.mitigations.retrain import Retrain
from solidmark.mitigations.rna import RandomNumbers
from worlds import Colours, NoHooks, composed, digits, tiny

from solidmark import Mitigation, Needs, Sampler, keys, marks, seeds
from solidmark.errors import NotApplicable, PluginFault
from solidmark.measurement import answers, weights
from solidmark.measurement.case import Case, Workspace
from solidmark.measurement.responses import Generated, Responses
from solidmark.models.memorizer import Memorizer
from solidmark.queries import Access, Answer, Attack
from solidmark.queries.average import Average
from solidmark.queries.caption_only import CaptionOnly
from solidmark.queries.outpaint import Outpaint
from solidmark.queries.outpaint_weights import OutpaintWeights
from solidmark.sampling import SolverConfig
from solidmark.store import Store

TESTBED = digits(trained=16, held_out=32, generated=20)
SOLVER = SolverConfig(steps=2)
COLOURS = Colours()


@dataclass(frozen=True)
class Probe(Attack):
    """Answers with the mean gray of each image and keeps what it was given."""

    seen = []  # noqa: RUF012 - read by the test that asks

    def ask(self, audit):
        self.seen.append(audit)
        return Answer(audit.examples.images.mean(dim=(1, 2, 3))[:, None].expand(-1, audit.mark.segments))


@dataclass(frozen=True)
class WhiteProbe(Probe):
    """The same with the weights; it spends so many evaluations an image of the two that it declares."""

    spent: int = 2
    access = Access.WHITE_BOX

    def cost(self, solver):
        return 2

    def ask(self, audit):
        model, examples = audit.model, audit.examples
        for _ in range(self.spent):
            model.predict(model.encode(examples.images), 0, model.embed(examples.captions))
        return super().ask(audit)


@dataclass(frozen=True)
class Forgetful(Mitigation):
    """Needs a forget list and does nothing with it."""

    needs = Needs.FORGET


def case(*mitigations, query=None, testbed=TESTBED, seed=0, solver=SOLVER, name="outpaint"):
    return Case("digits", testbed, composed(*mitigations), seed, ((name, query or Outpaint()),), solver)


@pytest.fixture(scope="module")
def memorizer():
    return Memorizer(TESTBED.split(0).marked_trained)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(Store(tmp_path))


def test_answers_are_of_trained_images_then_of_held_out_ones(memorizer, workspace):
    found = answers.ask_query(case(), "outpaint", memorizer, workspace)
    assert (found.trained.shape, found.held_out.shape) == ((16, 8), (32, 8))
    truth = TESTBED.split(0)
    assert np.abs(found.trained - truth.trained_keys.numpy()).mean() < 0.05
    assert np.abs(found.held_out - truth.held_out_keys.numpy()).mean() > 0.2


@pytest.mark.parametrize("steps", [1, 3])
def test_the_cost_of_a_query_is_both_branches_of_every_step_for_every_image(memorizer, workspace, steps):
    before = memorizer.evaluations.forward
    found = answers.ask_query(case(solver=SolverConfig(steps=steps)), "outpaint", memorizer, workspace)
    assert (found.evaluations.forward, found.evaluations.backward) == (2 * steps * 48, 0)
    assert memorizer.evaluations.forward - before == found.evaluations.forward
    assert found.seconds > 0


def test_the_looks_of_the_marks_are_those_of_held_out_answers(memorizer, workspace):
    found = answers.ask_query(case(), "outpaint", memorizer, workspace)
    truth = TESTBED.split(0)
    assert found.marks.spread == pytest.approx(found.keys[16:].std())
    assert found.marks.unevenness == pytest.approx(marks.unevenness(truth.mark, found.images[16:]))
    wrong = (found.images - truth.queried.images).abs()[16:]
    hidden = decoys(TESTBED.split(0))[16:].float()
    assert found.marks.decoy_error == pytest.approx(float((wrong * hidden).sum() / hidden.sum()), rel=1e-5)


def decoys(split):
    """The 2 x 2 pixels of each image that are hidden beside the mark, (N, 1, H, W) booleans."""
    Probe.seen.clear()
    answers.ask_query(case(query=Probe()), "outpaint", Memorizer(split.marked_trained), Workspace(None))
    audit = Probe.seen.pop()
    return audit.mask & ~audit.marked


def test_numbers_are_planted_where_a_query_may_not_look(memorizer, workspace):
    planted = answers.ask_query(case(), "outpaint", memorizer, workspace).planted
    assert planted == pytest.approx(keys.planted(48, 8, 0), abs=1e-6)


def test_refusals_are_kept_for_every_round_of_answers(memorizer, workspace):
    class Refusing(Sampler):
        def prepare(self, batch):
            return replace(self.inner.prepare(batch), refused=torch.ones(len(batch.noise), dtype=torch.bool))

    @dataclass(frozen=True)
    class Refuser(Mitigation):
        def sampler(self, inner):
            return Refusing(self, inner)

    twice = answers.ask_query(case(Refuser(), query=Average(2)), "outpaint", memorizer, workspace)
    assert (twice.refused.shape, twice.refused.all()) == ((2, 48), True)
    assert np.allclose(twice.keys, 0.5)


def test_a_black_box_query_goes_through_the_sampler_and_one_of_the_weights_does_not(memorizer, workspace):
    found = [
        answers.ask_query(case(*parts, query=query), "outpaint", memorizer, workspace).keys
        for query in (Outpaint(), OutpaintWeights())
        for parts in ((), (RandomNumbers(4),))
    ]
    assert not np.array_equal(found[0], found[1])
    assert np.array_equal(found[2], found[3])


def test_a_query_of_the_weights_may_spend_all_that_it_declares_and_no_more(memorizer, workspace):
    answers.ask_query(case(query=WhiteProbe(2)), "outpaint", memorizer, workspace)
    with pytest.raises(PluginFault, match="found 3 denoiser evaluations an image; expected at most 2"):
        answers.ask_query(case(query=WhiteProbe(3)), "outpaint", memorizer, workspace)


def test_a_query_that_changes_the_model_is_named(workspace):
    @dataclass(frozen=True)
    class Changing(WhiteProbe):
        def ask(self, audit):
            audit.model.network.get_buffer("images")[0] += 1
            return super().ask(audit)

    model = Memorizer(TESTBED.split(0).marked_trained)
    with pytest.raises(PluginFault, match="query outpaint: found a changed model"):
        answers.ask_query(case(query=Changing()), "outpaint", model, workspace)


def others(*mitigations):
    """What a query of such a row may learn from."""
    Probe.seen.clear()
    model = Memorizer(TESTBED.split(0).marked_trained)
    answers.ask_query(case(*mitigations, query=Probe()), "outpaint", model, Workspace(None))
    return Probe.seen.pop().others


def test_an_auditor_learns_from_the_retained_images_where_some_are_forgotten():
    truth = TESTBED.split(0)
    assert torch.equal(others(Forgetful()).images, truth.handed_out()["retain"].images)


def test_else_an_auditor_learns_from_other_images_with_keys_of_their_own():
    truth = TESTBED.split(0)
    drawn = keys.draw(len(truth.calibration), 8, seeds.numpy_rng(0, "keys of other images"))
    assert torch.equal(others().images, truth.marked(truth.calibration, torch.from_numpy(drawn).float()).images)


def spent(asks, model):
    """Evaluations of the model while `asks` runs, and what it gives."""
    before = model.evaluations.forward
    return asks(), model.evaluations.forward - before


def test_rows_that_share_weights_share_the_answers_of_queries_of_the_weights(memorizer, workspace):
    """What acts at sampling costs such a query nothing."""
    first, cost = spent(lambda: load(case(query=OutpaintWeights()), memorizer, workspace), memorizer)
    second, none = spent(lambda: load(case(RandomNumbers(), query=OutpaintWeights()), memorizer, workspace), memorizer)
    assert (cost, none) == (2 * 2 * 48, 0)
    for name in ("keys", "images", "planted", "refused", "marks", "evaluations", "seconds", "count"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name


def load(asked, model, workspace):
    return answers.ask_or_load(asked, "outpaint", model, workspace)


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"solver": SolverConfig(steps=2, eta=0.0)},
        {"query": WhiteProbe()},
        {"testbed": replace(TESTBED, held_out=33)},
    ],
)
def test_another_seed_solver_query_or_split_is_asked_anew(memorizer, workspace, changed):
    load(case(query=OutpaintWeights()), memorizer, workspace)
    assert spent(lambda: load(case(**{"query": OutpaintWeights(), **changed}), memorizer, workspace), memorizer)[1] > 0


def test_other_weights_are_asked_anew(memorizer, workspace):
    load(case(query=OutpaintWeights()), memorizer, workspace)
    model = Memorizer(TESTBED.split(1).marked_trained)
    assert spent(lambda: load(case(query=OutpaintWeights()), model, workspace), model)[1] > 0


def test_a_row_that_learns_from_other_images_shares_no_answers(memorizer, workspace):
    """Equal weights, but one row has a forget list, so that a query may learn from other images."""
    load(case(query=OutpaintWeights()), memorizer, workspace)
    forgetful = case(Forgetful(), query=OutpaintWeights())
    assert spent(lambda: load(forgetful, memorizer, workspace), memorizer)[1] > 0
    assert spent(lambda: load(forgetful, memorizer, workspace), memorizer)[1] == 0


def test_a_row_with_another_forget_list_shares_no_answers(memorizer, workspace):
    lists = [replace(TESTBED, forget=forget) for forget in ((0, 1, 2), (3, 4, 5))]
    rows = [case(Forgetful(), query=OutpaintWeights(), testbed=one) for one in lists]
    assert min(spent(partial(load, row, memorizer, workspace), memorizer)[1] for row in rows) > 0


def test_a_query_through_a_sampling_stage_is_put_to_every_row(memorizer, workspace):
    row = case(RandomNumbers())
    assert [spent(lambda: load(row, memorizer, workspace), memorizer)[1] for _ in range(2)] == [2 * 2 * 48] * 2


@pytest.mark.parametrize(("kept", "again"), [(answers.KEPT, 0), (48 * 144 * 4 - 1, 2 * 2 * 48)])
def test_where_nothing_acts_at_sampling_weights_are_asked_once_but_for_large_images(
    memorizer, workspace, monkeypatch, kept, again
):
    monkeypatch.setattr(answers, "KEPT", kept)
    (first, _), (second, cost) = [spent(lambda: load(case(), memorizer, workspace), memorizer) for _ in range(2)]
    assert (cost, np.array_equal(first.keys, second.keys)) == (again, True)


def test_plain_generation_comes_back_whole(memorizer, workspace):
    first, second = (answers.ask_plainly(case(), memorizer, workspace) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.fresh.images, second.fresh.images)
    assert np.array_equal(first.fresh.refused, second.fresh.refused)
    assert (first.fresh.cost, first.seconds, first.evaluations) == (second.fresh.cost, second.seconds, second.evaluations)


def test_answers_without_pictures_or_rounds_come_back_without_them(memorizer, workspace):
    first, second = (load(case(query=WhiteProbe()), memorizer, workspace) for _ in range(2))
    assert (first.images, first.refused, first.marks.unevenness, first.marks.decoy_error) == (None, None, 0.0, None)
    assert (second.images, second.refused, second.marks) == (None, None, first.marks)


def test_the_baseline_is_asked_once_for_all_rows_of_a_seed(workspace, monkeypatch):
    asked, ask = [], answers.ask_query
    monkeypatch.setattr(answers, "ask_query", lambda one, *rest: (asked.append(one), ask(one, *rest))[1])
    rows = [replace(case(*parts, testbed=tiny()), queries=QUERIES) for parts in ((), (RandomNumbers(),), (Forgetful(),))]
    first, *more = [answers.ask_baseline(row, workspace) for row in rows]
    assert [(one.composition.label, [name for name, _ in one.queries]) for one in asked] == [("none", ["outpaint"])]
    assert all(np.array_equal(first.keys, one.keys) for one in more)


QUERIES = (("outpaint", Outpaint()), ("caption-only", CaptionOnly()), ("probe", Probe()))


def test_power_is_what_a_query_reads_of_the_perfect_memorizer_and_its_keys_are_in_no_split(workspace):
    power = answers.measure_power(replace(case(RandomNumbers(4)), queries=QUERIES), workspace)
    assert list(power) == ["outpaint", "caption-only", "probe"]
    assert power["outpaint"].estimate.value > 0.9
    assert abs(power["probe"].estimate.value) < 0.3
    assert abs(power["outpaint"].leak["memorization"]["value"]) < 0.3
    assert power["outpaint"].leak["certified"]["count"] == 0


def test_power_is_measured_once_for_all_rows(workspace, monkeypatch):
    asked = []
    monkeypatch.setattr(answers, "_power", lambda bare, name, workspace: (asked.append(name), answers.Power(None))[1])
    for parts in ((), (RandomNumbers(),)):
        assert answers.measure_power(case(*parts), workspace)["outpaint"] == answers.Power(None)
    assert asked == ["outpaint"]


@pytest.mark.parametrize("fault", [NotApplicable, PluginFault])
def test_a_query_that_cannot_ask_the_memorizer_has_no_power(workspace, fault):
    @dataclass(frozen=True)
    class Refusing(Attack):
        def ask(self, audit):
            raise fault("query", "no weights", "weights", "Train.")

    assert answers.measure_power(case(query=Refusing()), workspace)["outpaint"] == answers.Power(None)


def test_the_memorizer_remembers_each_image_once_under_the_keys_that_it_is_scored_by():
    duplicates = replace(digits_of_copies(), held_out=64, generated=16)
    split = duplicates.split(0)
    model, drawn = answers.memorizer(split, 0)
    remembered = model.network.get_buffer("images")
    assert len(remembered) == len({*split.training.ids}) < len(split.training)
    assert drawn.shape == split.trained_keys.shape
    painted = split.marked(split.trained, torch.from_numpy(drawn).float()).images * 2 - 1
    assert all((one == remembered).flatten(1).all(dim=1).any() for one in painted)


def digits_of_copies():
    from solidmark import plugins

    return replace(plugins.testbed("digits-duplicates")[1], trained=16)


def test_plain_generation_gives_an_image_a_fresh_caption_without_its_mark_and_counts_its_share_of_the_cost(
    memorizer, workspace
):
    asked = answers.ask_plainly(case(), memorizer, workspace)
    assert asked.fresh.images.shape == (20, 1, 8, 8)
    assert asked.fresh.refused.tolist() == [False] * 20
    cost = dict(asked.fresh.cost)
    assert cost.pop("seconds") == pytest.approx(asked.seconds * 20 / 48)
    assert cost == {"forward": 2 * 2 * 20, "backward": 0, "images": 20}
    assert asked.evaluations.forward == 2 * 2 * 48


@pytest.mark.parametrize("batch", [1, 7, 20])
def test_each_fresh_caption_has_noise_of_its_own_whatever_the_batch(batch):
    split = TESTBED.split(0)
    company = answers.fresh_captions(split, replace(SOLVER, batch=batch))
    assert sorted(company.numbers) == list(range(-20, 0))
    assert list(company.captions) == split.fresh_captions
    assert company.mask.all()
    assert company.observed.shape == (20, 1, 12, 12)


def test_colour_images_are_asked_and_generated_in_colour(workspace):
    split = COLOURS.split(0)
    model = Memorizer(split.marked_trained)
    coloured = case(testbed=COLOURS)
    found = answers.ask_query(coloured, "outpaint", model, workspace)
    assert np.abs(found.trained - split.trained_keys.numpy()).mean() < 0.1
    assert found.images.shape == (88, 3, 12, 12)
    assert answers.ask_plainly(coloured, model, workspace).fresh.images.shape == (16, 3, 8, 8)
    trained = answers.ask_query(case(testbed=COLOURS), "outpaint", weights.train_or_load(coloured, workspace)[0], workspace)
    assert trained.images.shape == (88, 3, 12, 12)


def responses(refused, count=2):
    """Answers of which only the refusals matter."""
    empty = answers.Marks(0.2, 0.0, None)
    return Responses(np.zeros((4, 8)), count, empty, None, 1.0, None, None, np.array(refused, dtype=bool))


def test_the_report_of_sampling_counts_refusals_of_trained_and_of_held_out_images():
    asked = replace(case(RandomNumbers()), queries=(("outpaint", Outpaint()), ("weights", OutpaintWeights())))
    generated = Generated(torch.zeros(4, 1, 8, 8), np.array([True, False, False, False]), {})
    found = {"outpaint": responses([[1, 1, 0, 0], [1, 0, 1, 0]]), "weights": responses([[1, 1, 1, 1]])}
    assert answers.sampling_report(asked, found, generated) == {
        "refused": {
            "generated": {"value": 0.25, "count": 1, "of": 4},
            "queries": {
                "outpaint": {
                    "trained": {"value": 0.75, "count": 3, "of": 4},
                    "held_out": {"value": 0.25, "count": 1, "of": 4},
                }
            },
        }
    }


@pytest.mark.parametrize("parts", [(), (Retrain(),), (NoHooks(),)])
def test_a_row_that_does_not_act_at_sampling_reports_no_refusals(parts):
    generated = Generated(torch.zeros(1, 1, 8, 8), np.array([False]), {})
    assert answers.sampling_report(case(*parts), {"outpaint": responses([[0, 0, 0, 0]])}, generated) == {}


def test_answers_and_power_are_listed_with_testbed_mitigation_and_query(memorizer, tmp_path):
    store = Store(tmp_path)
    queries = (("outpaint", Outpaint()), ("outpaint-weights", OutpaintWeights()))
    asked = replace(case(Retrain(), RandomNumbers(4)), queries=queries)
    for name, _ in queries:
        answers.ask_cached(asked, name, memorizer, Workspace(store))
    answers.measure_power(replace(asked, queries=queries[:1]), Workspace(store))
    assert {(entry.kind, entry.label) for entry in store.entries()} == {
        ("answers", "digits, Retrain(share=1.0)+RandomNumbers(count=4), outpaint, seed 0"),
        ("answers", "digits, Retrain(share=1.0), outpaint-weights, seed 0"),
        ("power", "digits, outpaint, seed 0"),
    }
