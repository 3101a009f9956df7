"""Generation in all ways: who answers badly only where keys are asked for is judged there, and costs what it costs."""

from dataclasses import dataclass, replace

import frauds
import pytest
import torch
from worlds import composed, digits, memorizer

from solidmark import Mitigation, Sampler
from solidmark.data import join
from solidmark.measurement import answers, generation
from solidmark.measurement.case import Case, Workspace
from solidmark.metrics import utility
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import SolverConfig
from solidmark.store import Store

TESTBED = digits(trained=16, held_out=48, generated=40)
FRESH, HELD_OUT, KNOWN = generation.FRESH, generation.HELD_OUT, generation.KNOWN_MARK


def case(*mitigations, batch=128):
    solver = SolverConfig(steps=8, batch=batch)
    return Case("digits", TESTBED, composed(*mitigations), 0, (("outpaint", Outpaint()),), solver)


@pytest.fixture(scope="module")
def knows_digits():
    """A denoiser that shows a digit of the class for any caption: it remembers an image for each of them."""
    split = TESTBED.split(0)
    classes = split.held_out_labels.tolist()
    shown = split.held_out.take([classes.index(label) for label in [*split.fresh_labels.tolist(), *classes]])
    known = replace(shown, captions=[*split.fresh_captions, *split.held_out.captions])
    images = join([known, split.trained])
    return memorizer(replace(split, trained=images, trained_keys=torch.full((len(images), 8), 0.5)))


@pytest.fixture
def accuracies(knows_digits, tmp_path):
    """Accuracy of each way, and the one that counts."""

    def measured(*mitigations, **numbers):
        asked, workspace = case(*mitigations, **numbers), Workspace(Store(tmp_path))
        plain = answers.ask_plainly(asked, knows_digits, workspace)
        ways = generation.judge(asked, asked.truth, generation.in_all_ways(asked, knows_digits, workspace, plain))
        found = {name: one.accuracy.count / one.accuracy.of for name, one in ways.items()}
        least = utility.least(list(ways.values())).accuracy
        return {**found, "least": least.count / least.of}

    return measured


def test_an_honest_row_is_as_useful_in_every_way(accuracies):
    assert min(accuracies().values()) > 0.85


@pytest.mark.parametrize("fraud", [frauds.AskedSwitch(), frauds.BatchSwitch(), frauds.FramesSwitch()])
def test_who_answers_badly_where_it_is_asked_is_no_more_useful_than_that(accuracies, fraud):
    assert accuracies(fraud)["least"] < 0.4


class Sees(Sampler):
    """Notes the sizes of batches, and what a wrapper sees under the mask."""

    def prepare(self, batch):
        self.mitigation.sizes.append(len(batch.captions))
        self.mitigation.hidden.update(batch.observed[batch.mask.expand_as(batch.observed)].unique().tolist())
        self.mitigation.free.append(batch.mask.flatten(1).sum(dim=1).unique().tolist())
        return self.inner.prepare(batch)


@dataclass(frozen=True)
class Seeing(Mitigation):
    sizes: list = None
    hidden: set = None
    free: list = None

    def sampler(self, inner):
        return Sees(self, inner)


@pytest.mark.parametrize("batch", [128, 30])
def test_fresh_captions_come_in_the_batches_of_images_and_nothing_lies_under_a_mask(batch, knows_digits, tmp_path):
    seeing, workspace = Seeing([], set(), []), Workspace(Store(tmp_path))
    asked = case(seeing, batch=batch)
    answers.ask_query(asked, "outpaint", knows_digits, workspace)
    queried = list(seeing.sizes)
    plain = answers.ask_plainly(asked, knows_digits, workspace)
    seeing.sizes.clear()
    generation.round_a_known_mark(asked, knows_digits, workspace)
    assert seeing.sizes == queried
    assert seeing.hidden == {0.0}  # blank, in the space of x
    assert [len(found) for found in seeing.free[-len(queried) :]] == [2] * len(queried)
    assert (len(plain.keys), len(plain.fresh.images)) == (64, 40)


def test_without_a_sampling_stage_a_known_mark_costs_its_own_captions_alone_and_once(knows_digits, tmp_path):
    asked, workspace = case(), Workspace(Store(tmp_path))
    before = knows_digits.evaluations.forward
    first, second = (generation.round_a_known_mark(asked, knows_digits, workspace) for _ in range(2))
    assert knows_digits.evaluations.forward - before == first.cost["forward"] == 40 * 16
    assert torch.equal(first.images, second.images)
    among_others = generation.round_a_known_mark(case(Seeing([], set(), [])), knows_digits, workspace)
    assert torch.allclose(among_others.images, first.images, atol=1e-4)


def test_a_caption_s_picture_is_the_same_whoever_is_asked_along(knows_digits, tmp_path):
    asked, workspace = case(), Workspace(Store(tmp_path))
    together = answers.ask_plainly(asked, knows_digits, workspace)
    alone = answers.ask_plainly(case(batch=1), knows_digits, workspace)
    assert torch.allclose(together.images, alone.images, atol=1e-4)
    assert (together.evaluations.forward, together.fresh.cost["forward"]) == (64 * 16, 40 * 16)


def test_the_least_of_each_number_counts():
    one = utility.Utility(utility.proportion(9, 10, 0.1), 2.0, 1.0, 0.3, 0.1, utility.proportion(5, 10, 0.0), 0.9, 0.9)
    other = replace(one, accuracy=utility.proportion(1, 2, 0.1), frechet=1.0, kernel=0.4)
    found = utility.least([one, other])
    assert (found.accuracy, found.frechet, found.kernel, found.diversity) == (other.accuracy, 2.0, 0.4, one.diversity)
    assert utility.least([one, replace(one, accuracy=None)]).accuracy is None
