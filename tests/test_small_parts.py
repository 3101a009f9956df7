"""Small parts that were blind: ties of a sweep, the limits of a search for neurons, the first record, what is checked."""

import json
from types import SimpleNamespace

import pytest
import torch
from solidmark.mitigations import nemo

from solidmark.errors import InvalidValue, NotApplicable, UnknownName
from solidmark.queries import grid
from solidmark.queries.grid import Grid
from solidmark.runner import controller as controllers
from solidmark.runner.controller import Controller
from solidmark.runner.options import Options
from solidmark.runner.session import Session


def test_a_sweep_tries_each_gray_in_order_and_keeps_the_first_of_the_best(monkeypatch):
    tried = []

    def loss(audit, keys):
        tried.append(keys[:, 1].tolist())
        return torch.stack([(keys[0, 1] - 0.6).abs() // 0.2, torch.tensor(5.0)])

    monkeypatch.setattr(grid, "denoising_loss", loss)
    keys, losses = Grid(grays=5)._sweep(None, torch.full((2, 3), 0.1), torch.tensor([2.0, 5.0]), 1)
    assert tried == [[share] * 2 for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert keys.tolist() == [pytest.approx([0.1, 0.5, 0.1]), pytest.approx([0.1, 0.1, 0.1])]  # 0.75 is as good as 0.5
    assert losses.tolist() == [0.0, 5.0]


@pytest.mark.parametrize(("of_the_mark", "of_the_query", "swept"), [(3, 8, [0, 1, 2]), (9, 2, [0, 1])])
def test_so_many_segments_are_swept(monkeypatch, of_the_mark, of_the_query, swept):
    told, audit = [], SimpleNamespace(mark=SimpleNamespace(segments=of_the_mark), painted=lambda keys: "painted")
    monkeypatch.setattr(grid, "propose", lambda audit, count, steps: [count])
    monkeypatch.setattr(grid, "likeliest", lambda audit, proposals: ("keys", "loss"))
    monkeypatch.setattr(Grid, "_sweep", lambda self, audit, keys, loss, segment: told.append(segment) or (keys, loss))
    assert Grid(segments=of_the_query).ask(audit).images == "painted"
    assert told == swept


def search(**parts):
    """A search for neurons among four in two layers, without a model; `parts` take the place of its methods."""
    made = nemo.Search.__new__(nemo.Search)
    made.mean, made.threshold = torch.zeros(4), 0.5
    made.layers = {name: SimpleNamespace(out_features=2) for name in ("a", "b")}
    vars(made).update(parts)
    return made


@pytest.mark.parametrize(("value", "found"), [(0.5, False), (0.51, True)])
def test_a_caption_at_the_threshold_has_no_neurons(monkeypatch, value, found):
    monkeypatch.setattr(nemo, "nearest", lambda plain: torch.tensor([[0.1, value], [0.5, 0.5]]))
    asked = []
    made = search(differences=lambda embeddings, silent: embeddings)
    made.select_and_refine = lambda *given: asked.append(given) or torch.tensor([[True, False, False, True]])
    silent = made.find(torch.arange(6.0).reshape(2, 3))
    assert silent.tolist() == [[found, False, False, found], [False] * 4]
    assert [given[2].tolist() for given in asked] == ([[[False, True]]] if found else [])


@pytest.mark.parametrize(("at", "levels"), [(0.5, 1), (0.51, 3)])
def test_a_selection_ends_where_similarity_is_at_the_threshold(monkeypatch, at, levels):
    """Whatever is silenced, the similarity is the same, so that refinement restores all."""
    told = []
    monkeypatch.setattr(nemo.Search, "LEVELS", (5.0, 4.0, 3.0))
    monkeypatch.setattr(nemo, "similarity", lambda plain, now: torch.tensor([[at, 9.0]]))
    made = search(differences=lambda embeddings, silent: silent)
    made.select = lambda embeddings, theta, k: told.append((theta, k)) or torch.tensor([[True, True, True, True]])
    silent = made.select_and_refine(torch.zeros(1, 3), torch.zeros(1, 2), torch.tensor([[True, False]]))
    assert told == [(5.0, 0), (4.0, 1), (3.0, 2)][:levels]
    assert not silent.any()


@pytest.mark.parametrize(("alone", "kept"), [(0.5, []), (0.6, [2])])
def test_a_neuron_is_restored_where_similarity_stays_at_its_limit(monkeypatch, alone, kept):
    """With the third neuron active again similarity is `alone`, else 0.4; the threshold of 0.5 is the limit."""
    monkeypatch.setattr(nemo, "similarity", lambda plain, now: torch.where(now[:, 2], 0.4, alone)[:, None])
    made = search(differences=lambda embeddings, silent: silent)
    made.select = lambda embeddings, theta, k: torch.tensor([[True, True, True, False]])
    silent = made.select_and_refine(torch.zeros(1, 3), torch.zeros(1, 1), torch.tensor([[True]]))
    assert silent[0].nonzero().flatten().tolist() == kept


def test_neurons_are_restored_by_layers_then_one_by_one_the_last_first():
    groups = [group.nonzero().flatten().tolist() for group in search().groups()]
    assert groups == [[2, 3], [0, 1], [3], [2], [1], [0]]


def test_the_most_active_of_each_layer_and_those_above_theta_are_selected():
    active = torch.tensor([[1.0, 3.0, 0.5, 0.2]])
    made = search(activations=lambda embeddings: active, std=torch.ones(4))
    selected = [made.select(None, theta, k)[0].tolist() for theta, k in ((3.0, 0), (2.9, 0), (9.0, 1), (9.0, 7))]
    assert selected == [
        [False] * 4,  # at theta
        [False, True, False, False],
        [False, True, True, False],
        [True] * 4,  # no more than there are
    ]
    scores = nemo.z_scores(active, torch.full((4,), 2.0), torch.tensor([1.0, 2.0, 0.0, 1.0]))[0]
    assert scores.tolist() == pytest.approx([1.0, 0.5, 1.5e12, 1.8])


@pytest.mark.parametrize(("cells", "sizes"), [(16 * 6, [3]), (16 * 5, [2, 1]), (1, [1, 1, 1]), (16 * 10**6, [3])])
def test_so_many_captions_are_searched_at_once_as_fit(monkeypatch, cells, sizes):
    """Two noises of 16 cells each for every caption."""
    told, model = [], SimpleNamespace()
    model.predict = lambda x, t, embeddings, attention: told.append(len(x)) or SimpleNamespace(noise=2 * x)
    monkeypatch.setattr(nemo, "CELLS", cells)
    made = search(model=model, noise=torch.rand(2, 3, 4, 4), t=7)
    found = made.differences(torch.zeros(3, 2, 5), torch.zeros(3, 4, dtype=torch.bool))
    assert ([count // 2 for count in told], found.shape) == (sizes, (3, 2, 3, 4, 4))
    assert (float(found.amin()), float(found.amax())) == (0.0, 1.0)
    assert torch.allclose(found[0, 0].amax(dim=(1, 2)), torch.ones(3))


def test_value_layers_are_those_of_encoder_and_middle():
    layers = {name: SimpleNamespace(to_v=name) for name in ("down.0", "mid", "up.1")}
    assert nemo.value_layers(SimpleNamespace(cross_attention=layers)) == {"down.0": "down.0", "mid": "mid"}
    with pytest.raises(NotApplicable, match="no cross-attention in encoder or middle"):
        nemo.value_layers(SimpleNamespace(cross_attention={"up.1": layers["up.1"]}))


def test_latest_is_moved_once_at_the_first_new_record(tmp_path, monkeypatch):
    moved, sizes = [], iter((7, 9, 12))
    monkeypatch.setattr(controllers, "point_latest", moved.append)
    controller = Controller(Session(Options(), tmp_path, progress="off"), SimpleNamespace())
    controller._before = 7
    monkeypatch.setattr(controller, "_size", lambda: next(sizes))
    told = []
    for _ in range(3):
        controller._point_latest()
        told.append(len(moved))
    assert (told, moved) == ([0, 1, 1], [tmp_path])


def begun(tmp_path, **given):
    """A session from options of pytest of which all others are left out."""
    names = (
        "profile testbed mitigation seeds queries solver pipeline pipeline_class pipeline_call shard no_references run_dir"
    )
    values = {f"solidmark_{name}": given.get(name) for name in names.split()}
    option = SimpleNamespace(**values, solidmark_case_timeout=0.0, solidmark_progress="off", keyword="", markexpr="")
    option.solidmark_resume = given.get("resume")
    return Session.from_options(SimpleNamespace(option=option, invocation_params=SimpleNamespace(dir=tmp_path)))


@pytest.mark.parametrize(
    ("given", "error"),
    [({"seeds": "x"}, InvalidValue), ({"queries": "outpain"}, UnknownName), ({"shard": "0/2"}, InvalidValue)],
)
def test_a_mistake_ends_a_run_before_it_begins_or_goes_on(tmp_path, given, error):
    with pytest.raises(error):
        begun(tmp_path, **given)
    (tmp_path / "runs" / "a").mkdir(parents=True)
    named = {"seeds": "seeds", "queries": "queries", "shard": "shard"}
    options = {named[name]: value for name, value in given.items()}
    (tmp_path / "runs" / "a" / "run.json").write_text(json.dumps({"benchmark_version": 1, "options": options}))
    with pytest.raises(error):
        begun(tmp_path, resume="runs/a")
