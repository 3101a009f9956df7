"""What no measurement of the other tests comes by: early returns, refusals in full, and a crew in one process."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import worlds
from solidmark.mitigations._attention import AttentionSampler, CaptionedLogits
from solidmark.mitigations._bright_ending import ending_map
from solidmark.mitigations._caption_file import digest_of
from worlds import composed, generate, split

from solidmark import Mitigation, Sampler, Stage
from solidmark.errors import InvalidValue, NotApplicable, PluginFault
from solidmark.measurement import content_block, generation, pipeline
from solidmark.measurement.blind import blind, with_keys
from solidmark.measurement.case import Case
from solidmark.measurement.content import measure_content
from solidmark.measurement.detectors import _scores, measure_detectors
from solidmark.measurement.measure import _claimed_delta, _worst
from solidmark.metrics import content
from solidmark.metrics.copy_metrics import rank_correlation
from solidmark.metrics.detectors import Detector
from solidmark.mitigation import Needs
from solidmark.mitigation.crew import Crew
from solidmark.mitigation.elsewhere import TrainedElsewhere
from solidmark.mitigation.hooks import Hooks
from solidmark.models import SamplingBatch
from solidmark.models.conditioning import LabelEmbedding
from solidmark.models.given import GivenNetwork
from solidmark.models.schedule import ScheduleConfig
from solidmark.queries import Attack, Audit
from solidmark.queries.outpaint import Outpaint
from solidmark.queries.relearn import Relearn
from solidmark.sampling import Service, SolverConfig
from solidmark.timeouts import TimeUp
from solidmark.training import BaseTrainer


@pytest.mark.parametrize("hook", ["recipe", "edit", "trainer", "sampler", "pipeline"])
def test_a_hook_that_is_not_overridden_gives_back_what_it_got(hook):
    given = object()
    assert getattr(Mitigation(), hook)(given, *([None, None] if hook == "edit" else [])) is given


@pytest.mark.parametrize("hook", ["prepare", "view", "caption", "condition", "guidance"])
def test_a_hook_of_data_that_is_not_overridden_gives_back_what_it_got(hook):
    given = object()
    assert getattr(Mitigation(), hook)(given, None) is given


def test_a_class_of_an_unknown_letter_is_refused_in_full():
    words = "mitigation class .*Mine.fidelity: found 'D'; expected 'A', 'B', 'C' or 'unverified'. See `Mitigation`."
    with pytest.raises(InvalidValue, match=words):
        type("Mine", (Mitigation,), {"fidelity": "D"})


class Draws(Sampler):
    def after(self, x, x0, t, batch):
        return x + torch.rand(())


class Drawing(Mitigation):
    def sampler(self, inner):
        return Draws(self, inner)


def test_a_wrapper_that_draws_from_the_global_generator_is_named():
    words = r"mitigation Drawing, Draws.after: found the global generator of torch drawn from or seeded"
    with pytest.raises(PluginFault, match=words):
        generate(worlds.model(), Drawing(), captions=["one"])


class Pipes(Mitigation):
    def pipeline(self, stock):
        return stock


def test_a_model_without_a_pipeline_is_refused_in_full():
    words = "mitigation Pipes: found Memorizer; expected a model with a pipeline. Choose a latent testbed."
    with pytest.raises(NotApplicable, match=words):
        Hooks(composed(Pipes()), 0).pipeline(worlds.memorizer(split()))


def test_a_folder_that_is_nowhere_is_refused_in_full(tmp_path):
    words = "expected a folder for each seed. Write {seed} where the number of the seed stands."
    with pytest.raises(InvalidValue, match=words):
        _ = TrainedElsewhere(f"{tmp_path}/none-{{seed}}").source


def test_a_spacing_that_is_unknown_is_refused_with_those_that_are_known():
    with pytest.raises(InvalidValue, match=r"ScheduleConfig.spacing: found 'odd'.*even"):
        ScheduleConfig(spacing="odd")


def test_what_does_not_define_its_work_says_so():
    whole = [(Attack(), "ask", 1), (Detector(), "score", 2)]
    for part, method, count in whole:
        with pytest.raises(TypeError, match=f"{type(part).__name__} does not define"):
            getattr(part, method)(*[None] * count)
    for kind, method, count in ((AttentionSampler, "attention", 1), (CaptionedLogits, "change", 2)):
        with pytest.raises(TypeError, match=f"{kind.__name__} does not define its {method}"):
            getattr(kind, method)(object.__new__(kind), *[None] * count)


def audited(others=None, model=None, access=Relearn.access):
    laid = split()
    service = Service(model or worlds.model(), composed(), 0, "test")
    return Audit(laid.queried.take(range(4)), laid.mark, SolverConfig(steps=2), service, 0, "it", access, others)


def test_relearning_needs_weights_and_other_images():
    words = "query it: found no other images, or no weights; expected weights, and images to learn from"
    for asked in (audited(), audited(split().calibration, worlds.memorizer(split()))):
        with pytest.raises(NotApplicable, match=words):
            Relearn().ask(asked)


def test_an_audit_is_asked_with_a_caption_for_each_image():
    with pytest.raises(InvalidValue, match=r"Audit: found 3 captions; expected 4. Give one caption an image."):
        audited().outpaint(["one"] * 3)


def sampling_batch(model, captions):
    noise = torch.ones(len(captions), *model.shape)
    rows, mask = torch.zeros(len(captions), dtype=torch.bool), torch.ones_like(noise[:, :1], dtype=torch.bool)
    times, null = model.schedule.times(2), model.embed([""] * len(captions))
    words = model.embed(captions)
    return SamplingBatch(captions, words, null, noise, mask, rows, times, 3.0, 0.0, model, torch.zeros_like(noise))


def test_what_attends_to_nothing_has_no_ending_map():
    batch = sampling_batch(worlds.memorizer(split()), ["one", "two"])
    with pytest.raises(NotApplicable, match=r"found a network without cross-attention; expected one that has it. Choose"):
        ending_map(batch, torch.Generator())


def test_a_file_that_is_not_there_has_no_digest(tmp_path):
    (tmp_path / "there").write_bytes(b"x")
    assert digest_of(str(tmp_path / "none")) == ""
    assert digest_of(str(tmp_path / "there")) == "2d711642b726b044"


def test_without_pictures_or_queries_there_is_no_content_no_block_and_no_worst_case():
    nothing = SimpleNamespace(images=None)
    assert measure_content(None, nothing, {}) is None
    assert content_block.as_block(None, {}, None, shared=True) is None
    assert pipeline.as_block(None, None, None, {}) is None
    assert _worst(SimpleNamespace(groups={"target": [0]}), None, {}, 0.0) is None


def test_plain_generation_without_fresh_captions_is_a_mistake_of_ours():
    plain = SimpleNamespace(fresh=None, images=1, refused=1)
    with pytest.raises(ValueError, match="plain generation was not asked with fresh captions"):
        generation.in_all_ways(SimpleNamespace(blind=SimpleNamespace(split=None)), None, None, plain)


def claimed(*reports, count=100):
    builds = {"model": SimpleNamespace(reported={str(number): report for number, report in enumerate(reports)})}
    return _claimed_delta(builds, count)


def test_the_delta_of_a_claim_is_the_largest_up_to_one_image_of_all():
    told = [{"epsilon": 1.0, "delta": 1e-5}, {"epsilon": 2.0, "delta": 1e-3}]
    assert claimed(*told) == 1e-3
    assert claimed(*told, count=2000) == 1 / 2000
    silent = [{"delta": 1e-3}, {"epsilon": None, "delta": 1e-3}, {"epsilon": 1.0}, {"epsilon": 1.0, "delta": -1.0}]
    assert claimed(*silent) == claimed() == 0.0
    assert claimed({"epsilon": 1.0, "delta": 1}) == 0.01


def test_a_split_that_is_no_secret_hands_out_all_parts():
    laid = split()
    open_, closed = with_keys(laid), blind(worlds.digits(trained=16, held_out=32), 0, Needs.NOTHING)
    assert (open_.split, set(open_.handed_out)) == (laid, set(laid.handed_out()))
    assert (open_.fingerprint, open_.training_digest) == (laid.fingerprint, laid.training_digest)
    assert (closed.handed_out, closed.fingerprint) == ({}, laid.fingerprint)
    assert not torch.equal(closed.split.trained_keys, laid.trained_keys)


def test_the_name_of_a_case_has_testbed_method_setting_and_seed():
    case = Case("toy", worlds.tiny(), composed(), 3, (("outpaint", Outpaint()),))
    assert case.slug == replace(case, marked=False).slug == "toy-none-s3"


@pytest.mark.parametrize("bad", [np.ones((2, 2)), np.ones(0), np.array([1.0, np.nan])])
def test_scores_are_finite_and_not_empty(bad):
    for pair, name in (((bad, np.ones(3)), "trained"), ((np.ones(3), bad), "held-out")):
        finite = "finite" if np.isfinite(bad).all() else "not finite"
        words = f"content.conformal_p: found {name} scores of shape {bad.shape}, {finite}; expected finite scores"
        with pytest.raises(InvalidValue) as refused:
            content.conformal_p(*pair)
        assert str(refused.value).startswith(words)


def test_ranks_are_correlated_in_pairs():
    with pytest.raises(InvalidValue, match=r"rank_correlation: found 4 and 5 numbers; expected pairs. Give both"):
        rank_correlation(np.arange(4.0), np.arange(5.0))


def crew(rank, size, others=()):
    """A process of a crew whose others give these tensors, one after the other."""
    waiting = list(others)
    made = object.__new__(Crew)
    utils = SimpleNamespace(reduce=lambda tensor, how: tensor + waiting.pop(0) if how == "sum" else None)
    made._accelerate, made._began, made.rank, made.size = SimpleNamespace(utils=utils), False, rank, size
    made.device = torch.device("cpu")
    return made


def test_the_answer_of_a_crew_is_that_of_the_process_that_leads():
    assert [crew(0, 2, [0.0]).agree(answer) for answer in (True, False)] == [True, False]
    assert [crew(1, 2, [led]).agree(True) for led in (1.0, 0.0)] == [True, False]
    assert (crew(0, 2).leads, crew(1, 2).leads) == (True, False)
    assert crew(1, 2).mine("abcde") == ["b", "d"]


def test_a_crew_helps_where_a_training_begins_and_goes_on_where_none_did():
    helped = []
    for led in (1.0, 0.0):
        crew(1, 2, [led]).follow(lambda led=led: helped.append(led))
    assert helped == [1.0]
    leading = crew(0, 2, [0.0, 0.0])
    leading.lead(lambda: leading.begin())  # it has told the others once
    assert leading._began
    leading.lead(lambda: None)  # and now that there is nothing to do
    assert not leading._began


def test_a_crew_begins_at_one_step():
    crew(0, 2, [torch.tensor([0.0, 7.0])]).check_step(7)
    with pytest.raises(InvalidValue, match=r"crew: found processes at the steps \[7, 5\]; expected one step for all"):
        crew(0, 2, [torch.tensor([0.0, 5.0])]).check_step(7)


def test_gradients_of_a_crew_are_sums_over_all_processes_and_none_where_none_had_one():
    trainer, ones = object.__new__(BaseTrainer), torch.ones(2)
    others = [0 * ones, 3 * ones, 0 * ones, torch.tensor([4.0, 0.0, 1.0, 0.0])]
    trainer.crew = SimpleNamespace(total=lambda own: [a + b for a, b in zip(own, others, strict=True)])
    trainer.run, trainer.model = SimpleNamespace(parameters=lambda: [ones] * 3), SimpleNamespace(device="cpu")
    (first, second, third), count = trainer._of_all([2 * ones, None, None], 3)
    assert (first.tolist(), second.tolist(), third, count) == ([2, 2], [3, 3], None, 7)


def test_captions_that_say_nothing_are_not_shown_to_a_hook():
    def caption(self, captions, rng):
        raise AssertionError(captions)

    kind = type("Never", (Mitigation,), {"stage": Stage.SAMPLING, "caption": caption})
    assert Hooks(composed(kind()), 0).caption(["", " "]) == ["", " "]


def test_classes_exchange_their_vectors():
    embedding = LabelEmbedding(replace(worlds.NETWORK, kind="label", classes=("a", "b", "c")))
    before = embedding.vectors.weight.detach().clone()
    embedding.exchange_classes([1, 2, 0])
    assert torch.equal(embedding.vectors.weight, before[[1, 2, 0]])


@pytest.mark.parametrize(("name", "known"), [("initialise", "'other'"), ("precision", "'other'")])
def test_a_given_network_has_a_known_start_and_precision(name, known):
    with pytest.raises(InvalidValue, match=rf"GivenNetwork.{name}: found {known}; expected \w+ or \w+.* Choose one of them"):
        GivenNetwork(**{name: "other"})


def test_captions_that_trained_and_held_out_images_share_tell_nothing_to_a_detector():
    laid = split()
    shared = replace(laid, held_out=replace(laid.held_out, captions=[laid.trained.captions[0]] * len(laid.held_out)))
    found = measure_detectors(SimpleNamespace(blind=SimpleNamespace(split=shared)), None)
    assert {tuple(sorted(one.items(), key=str)) for one in found.values()} == {
        (("auroc", None), ("reason", "trained and held-out images share captions"))
    }


class Sleeps(Detector):
    def score(self, batch, rng):
        raise TimeUp(600.0, "its loop")


def test_a_detector_without_end_is_named():
    batch = SimpleNamespace(captions=["one"])
    words = r"detector slow: found no end after 600 s; it was at its loop; expected an end within 600 s a batch"
    with pytest.raises(PluginFault, match=words):
        _scores(Sleeps(), "slow", batch, 0)
