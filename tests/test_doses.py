"""Doses: what mitigations really did, as means over queries or accesses, from the hook to record, row and page."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from record_samples import case as record
from solidmark.mitigations.opposite_guidance import OppositeGuidance
from worlds import composed, examples, model, tiny

from solidmark import Mitigation, Sampler, Stage, plugins
from solidmark.errors import InvalidValue
from solidmark.experiments import Experiments
from solidmark.leaderboard import build_leaderboard
from solidmark.measurement import measure
from solidmark.measurement.case import Case, Workspace
from solidmark.mitigation import Needs
from solidmark.mitigation.handout import Data
from solidmark.mitigation.hooks import Hooks, _moved_share, _some_weights
from solidmark.sampling import SolverConfig
from solidmark.store import Store

DOSES = {"acted_on": 0.25, "norm_after": 1.5}


class Half(Sampler):
    """Changes nothing, and says of two of a batch's queries that it did where `acts`."""

    def prepare(self, batch):
        self.data.dose("acted_on", torch.arange(len(batch.captions)) < self.mitigation.acts)
        return self.inner.prepare(batch)


@dataclass(frozen=True)
class Saying(Mitigation):
    acts: int = 0

    def sampler(self, inner):
        return Half(self, inner)


@dataclass(frozen=True)
class Longer(Mitigation):
    """Adds a word to each caption but the first."""

    stage = Stage.TRAINING

    def caption(self, captions, rng):
        return [captions[0], *(f"{caption} w1" for caption in captions[1:])]

    def condition(self, embeddings, rng):
        return 1.5 * embeddings

    def view(self, images, rng):
        return torch.cat([1 - images[:1], images[1:]])

    def prepare(self, examples, rng):
        return examples.take(range(3))


@dataclass(frozen=True)
class Scaled(Mitigation):
    """Multiplies all weights."""

    factor: float = 1.0

    def edit(self, model, data, rng):
        with torch.no_grad():
            for weight in model.parameters():
                weight *= self.factor
        return model


def test_a_dose_is_the_mean_of_all_that_was_said():
    data = Data(Needs.NOTHING, "mine", sampled=True)
    data.dose("norm", torch.tensor([1.0, 2.0]))
    data.dose("norm", 6.0)
    data.dose("acted_on", torch.tensor([True, False]))
    assert data.doses == {"norm": 3.0, "acted_on": 0.5}


@pytest.mark.parametrize(
    ("name", "value"), [("norm", float("nan")), ("norm", torch.tensor([1.0, torch.inf])), ("told", 1.0)]
)
def test_a_dose_is_finite_and_has_a_name_of_its_own(name, value):
    data = Data(Needs.NOTHING, "mine")
    data.report("told", 1)
    with pytest.raises(InvalidValue, match=f"mitigation mine, dose {name}"):
        data.dose(name, value)


def test_a_dose_may_not_become_a_report():
    data = Data(Needs.NOTHING, "mine")
    data.dose("share", 0.5)
    with pytest.raises(InvalidValue, match="report of share: found 1, and 'a dose' before"):
        data.report("share", 1)


def test_hooks_without_a_sampler_are_measured_by_the_suite():
    hooks, four = Hooks(composed(Longer()), 0, "training"), examples(4)
    hooks.prepare(four)
    hooks.view(four.images)
    hooks.caption(["one w1", "", "one", "two"])
    hooks.condition(torch.ones(2, 3, 4), torch.tensor([True, True]))
    told = {
        "examples_kept": 0.75,
        "images_changed": 0.25,
        "captions_changed": 2 / 3,
        "words_added": 2 / 3,
        "captions_cut": 0,
    }
    assert hooks.reported == {"Longer": {**{name: pytest.approx(n) for name, n in told.items()}, "embedding_change": 0.5}}


def test_guidance_is_told_as_a_share_of_what_came_in_and_nothing_of_none():
    hooks = Hooks(composed(OppositeGuidance(0.5, 0.5)), 0, "sampling")
    for fraction in (0.0, 0.25, 0.5, 0.75):
        hooks.guidance(7.5, fraction)
    hooks.guidance(torch.tensor([2.0, 0.0]), 0.9)
    assert hooks.reported["OppositeGuidance"] == {"guidance_left": pytest.approx((2 * -0.5 + 3) / 5)}


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_an_edit_is_told_by_how_far_it_moves_the_weights(factor):
    hooks = Hooks(composed(Scaled(factor)), 0, "editing")
    hooks.edit(model())
    assert hooks.reported["Scaled"]["weights_moved"] == pytest.approx(factor - 1, abs=1e-6)


def test_of_weights_that_were_watched_in_part_each_stands_for_as_many_as_it_was_drawn_from(monkeypatch):
    monkeypatch.setattr("solidmark.mitigation.hooks.WATCHED", 1024)
    few, many = (SimpleNamespace(parameters=lambda n=n: [torch.zeros(4 * 1024), torch.full((4,), n)]) for n in (1.0, 3.0))
    more = SimpleNamespace(parameters=lambda: [torch.ones(4 * 1024), torch.full((4,), 1.0)])
    assert _moved_share(_some_weights(few), _some_weights(many)) == 2.0
    assert _moved_share(_some_weights(few), _some_weights(more)) == 32.0  # 4,096 ones to four
    assert _moved_share(_some_weights(few), [(1.0, torch.ones(3))]) is None


def test_an_edit_of_one_weight_is_seen():
    def network(number):
        weights = torch.ones(100_003)
        weights[77_777] = number
        return SimpleNamespace(parameters=lambda: [weights])

    moved = _moved_share(_some_weights(network(1.0)), _some_weights(network(0.0)))
    assert moved == pytest.approx(1 / 100_003**0.5)


@pytest.mark.parametrize("acts", [0, 4])
def test_a_sampler_that_acted_on_no_query_is_no_fault_and_the_record_says_so(tmp_path, acts):
    attack = plugins.instance("solidmark.queries", "query", "outpaint")
    asked = Case("tiny", tiny(), composed(Saying(acts)), 0, (("outpaint", attack),), SolverConfig(steps=2))
    workspace = Workspace(Store(tmp_path / "store"))
    found = measure.measure(asked, workspace, tmp_path / "run")
    assert found["reported"]["sampling"]["doses"] == {"outpaint": {"Saying": {"acted_on": acts / 80}}}
    again = [
        Experiments(workspace).measure_action(tiny(), 0, composed(Saying(acts)), "outpaint", SolverConfig(2)) for _ in "12"
    ]
    assert again == [acts / 80] * 2  # asked, and from the store
    assert any("inactive" in fault for fault in found["controls"]["faults"]) is (acts > 0)


def told(*doses):
    blocks = [{"sampling": {"doses": {"outpaint": {"saying": dose}}}} for dose in doses]
    return [record("saying", seed=seed, stage="sampling", reported=block) for seed, block in enumerate(blocks)]


def test_a_row_has_the_mean_of_its_seeds_and_the_page_and_the_csv_say_it():
    from solidmark.reports import as_csv, columns

    board = build_leaderboard(told(DOSES, {**DOSES, "acted_on": 0.75}))
    assert board.rows[0].reported.values == {"sampling: acted_on": 0.5, "sampling: norm_after": 1.5}
    (column,) = [column for column in columns.table(board).columns if column.key == "reported"]
    assert column.cell(board.rows[0]).text == "sampling: acted_on 0.5, sampling: norm_after 1.5"
    assert "sampling: acted_on 0.5, sampling: norm_after 1.5" in as_csv.render(board, [])


def test_a_row_that_says_nothing_has_a_dash():
    from solidmark.reports import columns

    assert columns.reported_text({}) is None
    assert (
        columns.reported_text({"training: updates": 7, "editing: no_op": True}) == "training: updates 7, editing: no_op True"
    )
