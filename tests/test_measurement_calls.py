"""What a measurement passes on when it trains, edits and asks: each argument by its name, with a value of its own."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from worlds import split

from solidmark import Needs, Stage, provenance, seeds
from solidmark.measurement import answers, detectors, generation, sources, weights
from solidmark.models import Evaluations
from solidmark.queries import Access, Audit
from solidmark.queries.caption_only import CaptionOnly
from solidmark.sampling import SolverConfig

LAID = split(6, 20)
SOLVER = SolverConfig(steps=3, guidance=2.5, eta=0.25, batch=7)


class Parts:
    """A composition that says of which stage it is."""

    label, parts = "mine(a=1)", ("part",)

    def __init__(self, stage="all", stages=(), needs=Needs.NOTHING):
        self.stage, self.stages, self.needs = stage, stages, needs

    def at(self, stage):
        return Parts(stage.value)

    def described(self):
        return f"parts at {self.stage}"

    def __eq__(self, other):
        return self.stage == other.stage

    __hash__ = None


class Called(list):
    """The calls of a function that is replaced, as (arguments, named arguments)."""

    def __init__(self, patch, module, name, answer=None):
        self.answer = answer
        patch.setattr(module, name, self.call)

    def call(self, *given, **named):
        self.append((given, named))
        return self.answer(*given, **named) if callable(self.answer) else self.answer


def drawn(rng):
    return torch.rand(4, generator=rng).tolist()


def from_stream(*purpose):
    return drawn(seeds.torch_rng(*purpose))


def case(**more):
    network = SimpleNamespace(shared=(), factor=1)
    recipe = SimpleNamespace(network=network, checkpointing=False)
    testbed = SimpleNamespace(recipe=recipe, base=None, autoencoder=None, mark="the mark")
    blind = SimpleNamespace(split=LAID, handed_out={"retain": "kept images"}, fingerprint="f", training_digest="d")
    given = {"testbed": testbed, "blind": blind, "composition": Parts(), "seed": 3, "half": None, "marked": True}
    return SimpleNamespace(**{**given, "testbed_name": "digits", "solver": SOLVER, "training_keys": "keys", **more})


class Space:
    """A workspace whose store builds at once, in a folder of its own."""

    device, progress = "a device", "a progress"

    def __init__(self, folder, crew=None):
        self.folder, self.crew, self.asked = folder, crew, []

    def stored(self, kind, key, modules, build, label=""):
        self.asked.append((kind, key, modules, label))
        build(self.folder)
        return self.folder

    def unfinished(self, *given):
        return ("unfinished", *given)


def test_a_training_is_given_all_that_its_key_says_and_counts_what_it_evaluates(monkeypatch):
    def train(*given, **named):
        metered[-1].forward += 5
        return "a model"

    metered = []
    monkeypatch.setattr(weights, "metered", lambda: _Metered(metered))
    called = Called(monkeypatch, weights, "alone", train)
    monkeypatch.setattr(weights, "_training_set", lambda case: ("training set", case.seed))
    monkeypatch.setattr(weights, "_handed_base", lambda case, base, workspace: {"base_model": (base, workspace.device)})
    added = []
    space, one = Space(None, SimpleNamespace(add_up=added.append)), case()
    model, cost = weights._Training(one, space, "base", "latents", {"a": 1}).run()
    assert (model, cost["forward"], 0 <= cost["seconds"] < 5, added) == ("a model", 5, True, metered)
    ((given, named),) = called
    assert given == (weights.train, one.testbed.recipe, ("training set", 3), Parts("training"), 3)
    assert named == {
        "device": "a device",
        "data": {"retain": "kept images", "base_model": ("base", "a device")},
        "initial": "base",
        "space": "latents",
        "unfinished": ("unfinished", "trained model", {"a": 1}, provenance.TRAINING),
        "crew": space.crew,
        "progress": "a progress",
    }


class _Metered:
    """Evaluations as `metered` gives them."""

    def __init__(self, every):
        self.every = every

    def __enter__(self):
        self.every.append(Evaluations())
        return self.every[-1]

    def __exit__(self, *raised):
        pass


@pytest.mark.parametrize("crewed", [True, False])
def test_a_model_is_trained_where_the_disk_has_room_and_the_crew_is_called_first(monkeypatch, tmp_path, crewed):
    order = []
    training = SimpleNamespace(key={"k": 1}, run=lambda: order.append("run") or (SimpleNamespace(reported="told"), "cost"))
    monkeypatch.setattr(weights._Training, "of", lambda case, workspace: training)
    monkeypatch.setattr(weights, "_check_disk", lambda case, workspace: order.append("disk"))
    saved = Called(monkeypatch, weights, "_save")
    monkeypatch.setattr(weights, "_load", lambda folder, workspace: (folder, workspace))
    space = Space(tmp_path, SimpleNamespace(begin=lambda: order.append("crew")) if crewed else None)
    assert weights.train_or_load(case(), space) == (tmp_path, space)
    assert order == ["disk", "crew", "run"] if crewed else ["disk", "run"]
    assert space.asked == [("trained model", {"k": 1}, provenance.TRAINING, "digits, mine(a=1), seed 3")]
    ((given, _),) = saved
    assert given[1:] == (tmp_path, weights.BuildInfo("cost", "told"))


def test_a_base_is_trained_without_parts_and_saved_with_what_it_cost(monkeypatch, tmp_path):
    made = SimpleNamespace(evaluations=Evaluations(forward=4, backward=2), reported={"a": {}})
    called, saved = Called(monkeypatch, weights, "train", made), Called(monkeypatch, weights, "_save")
    monkeypatch.setattr(weights, "train_space_or_load", lambda case, workspace: "latents")
    monkeypatch.setattr(weights, "space_key", lambda space, network: {"space": (space, network)})
    monkeypatch.setattr(weights, "_load", lambda folder, workspace: ("base", folder, workspace))
    one, space = case(), Space(tmp_path)
    one.testbed.base = SimpleNamespace(network="its network")
    one.testbed.base_examples, one.testbed.base_keys = lambda: LAID.training, lambda count, seed: torch.zeros(count, seed)
    monkeypatch.setattr(weights.provenance, "describe", lambda value: f"described {value}")
    assert weights._train_base_or_load(one, space) == "base"
    ((kind, key, modules, label),) = space.asked
    assert (kind, modules, label) == ("base model", provenance.TRAINING, "digits, seed 3")
    assert (key["space"], key["seed"]) == (("latents", "its network"), 3)
    (((recipe, trained, parts, seed), named),) = called
    assert (recipe, trained.examples, trained.mark, parts.parts, seed) == (
        one.testbed.base,
        LAID.training,
        "the mark",
        (),
        3,
    )
    assert trained.keys.shape == (6, 3)
    unfinished = ("unfinished", "base model", key, provenance.TRAINING)
    assert named == {"device": "a device", "space": "latents", "unfinished": unfinished, "progress": "a progress"}
    (((model, folder, info), _),) = saved
    assert (model, folder, info.reported, info.cost["forward"], info.cost["backward"]) == (made, tmp_path, {"a": {}}, 4, 2)
    assert 0 <= info.cost["seconds"] < 5


@pytest.mark.parametrize("shipped", [True, False])
def test_an_autoencoder_is_read_or_trained_by_recipe_network_images_and_mark(monkeypatch, tmp_path, shipped):
    state = {"a": torch.ones(3, 2).T}  # not contiguous
    read = Called(monkeypatch, weights, "read_autoencoder", (state, 7.5))
    trained = Called(monkeypatch, weights, "train_autoencoder", SimpleNamespace(state=lambda: state))
    monkeypatch.setattr(weights.provenance, "describe", str)
    one, recipe = case(), SimpleNamespace(sha256="abc" if shipped else "", seen=11)
    one.testbed.base_examples, one.testbed.autoencoder_file = lambda: LAID.training, "a file"
    folder = weights._stored_space(recipe, one, Space(tmp_path / "deep" / "folder"))
    assert torch.equal(weights.load_file(folder / "space.safetensors")["a"], state["a"])
    cost = json.loads((folder / "build.json").read_text())
    assert (cost["encoded"], cost["decoded"], cost["forward"]) == (11, 11, 0)
    if shipped:
        assert ([*read], [*trained], cost["seconds"]) == ([((recipe, "a file"), {})], [], 7.5)
    else:
        (((*given, rng), _),) = trained
        assert given == [recipe, one.testbed.recipe.network, LAID.training.images, "the mark"]
        assert drawn(rng) == from_stream(0, "autoencoder")
        assert (not read, 0 <= cost["seconds"] < 5) == (True, True)


@pytest.mark.parametrize("checkpointing", [True, False])
def test_an_edit_gets_a_copy_the_recipe_and_the_data_that_were_asked_for(monkeypatch, tmp_path, checkpointing):
    switched, copy = [], SimpleNamespace()
    copy.network = SimpleNamespace(enable_gradient_checkpointing=lambda: switched.append(copy))
    model = SimpleNamespace(copy=lambda: copy)
    monkeypatch.setattr(weights, "train_or_load", lambda case, workspace: (model, "training"))
    monkeypatch.setattr(weights, "fingerprint", lambda model: "f")
    monkeypatch.setattr(weights.provenance, "describe", str)
    hooks = SimpleNamespace(edit=lambda given: ("edited", given, torch.rand(1).item()), reported={"x": {}})
    called, saved = Called(monkeypatch, weights, "Hooks", hooks), Called(monkeypatch, weights, "_save")
    monkeypatch.setattr(weights, "_load", lambda folder, workspace: (folder, "info"))
    one = case()
    one.testbed.recipe.checkpointing = checkpointing
    assert weights.edit_or_load(one, Space(tmp_path)) == (tmp_path, {"training": "training", "editing": "info"})
    data = {"retain": "kept images", "recipe": one.testbed.recipe}
    assert [*called] == [((Parts("post-hoc"), 3, "editing"), {"data": data})]
    assert switched == ([copy] if checkpointing else [])
    with seeds.forked(3, "editing, global generator"):
        random = torch.rand(1).item()
    ((((word, given, number), folder, info), _),) = saved
    assert (word, given, number, folder, info.reported) == ("edited", copy, random, tmp_path, {"x": {}})
    assert (info.cost["forward"], 0 <= info.cost["seconds"] < 5) == (0, True)


def test_a_given_pipeline_is_built_by_its_network_and_seed_on_the_device(monkeypatch):
    class Built:
        def to(self, device):
            assert device == "a device"
            return self

        def frozen(self):
            return "frozen"

    called = Called(monkeypatch, weights.models, "build", Built())
    one = case(composition=Parts(needs=Needs.BASE_MODEL))
    one.testbed.recipe.network = object.__new__(weights.GivenNetwork)
    assert weights._handed_base(one, None, Space(None)) == {"base_model": "frozen"}
    (((network, rng), _),) = called
    assert (network, drawn(rng)) == (one.testbed.recipe.network, from_stream(3, "initialisation"))


def test_an_autoencoder_is_loaded_into_new_parts_and_moved_unless_a_space_is_shared(monkeypatch):
    done = []
    made = SimpleNamespace(load_state=lambda state: done.append(("loaded", state)), to=lambda d: done.append(("moved", d)))
    other = SimpleNamespace(to=lambda device: done.append(("shared", device)))
    monkeypatch.setattr(weights, "shared_space", lambda network: other if network == "given" else None)
    monkeypatch.setattr(weights, "build_parts", lambda network: SimpleNamespace(space=made))
    stored = Called(monkeypatch, weights, "_stored_space", Path("folder"))
    monkeypatch.setattr(weights, "load_file", lambda path: f"state of {path}")
    one, space = case(), Space(None)
    assert (weights.train_space_or_load(one, space), done) == (None, [])
    one.testbed.autoencoder = "recipe"
    assert weights.train_space_or_load(one, space) is made
    assert [*stored] == [(("recipe", one, space), {})]
    assert done == [("loaded", f"state of {Path('folder/space.safetensors')}"), ("moved", "a device")]
    one.testbed.recipe.network = "given"
    assert weights.train_space_or_load(one, space) is other
    assert done[2:] == [("shared", "a device")]


# Asking


@pytest.fixture
def asked(monkeypatch):
    """What `ask_query` asks with, and of which service; nothing is asked."""
    found = SimpleNamespace(states=iter([{"a": 1}, {"a": 1}]))
    monkeypatch.setattr(answers.weights, "state", lambda model: model)
    monkeypatch.setattr(answers.untouched, "checksum", lambda model: next(found.states))
    monkeypatch.setattr(answers.weights, "at_sampling", lambda case, blind, workspace, model: (blind, workspace, model))
    found.services = Called(monkeypatch, answers, "Service", "a service")
    found.asks = Called(monkeypatch, answers, "ask", lambda attack, audit: torch.rand(1).item())
    monkeypatch.setattr(answers, "_responses", lambda answer, split, audit, evaluations, seconds: (answer, split, seconds))
    return found


PLAIN = SimpleNamespace(images="pictures", refused=[torch.ones(26, dtype=torch.bool).numpy()])


@pytest.mark.parametrize(
    ("attack", "access"), [(CaptionOnly(), Access.BLACK_BOX), ("mine", Access.BLACK_BOX), ("mine", Access.WHITE_BOX)]
)
def test_a_query_is_asked_of_the_service_by_all_that_an_audit_has(asked, attack, access):
    if attack == "mine":
        attack = SimpleNamespace(access=access, cost=lambda solver: 10.0 * solver.steps)
    one, space = case(attack=lambda name: attack), Space(None)
    answer, laid, seconds = answers.ask_query(one, "a name", "a model", space, plain=PLAIN)
    with seeds.forked(3, "asking, global generator", "a name"):
        assert (answer, laid) == (torch.rand(1).item(), LAID)
    black = access is Access.BLACK_BOX
    assert 0 <= seconds < 5
    (((model, parts, seed, name), named),) = asked.services
    assert (model, parts.described(), seed, name) == ("a model", "parts at sampling" if black else [], 3, "a name")
    assert named == {"data": (one.blind, space, "a model")}
    (((put, audit), _),) = asked.asks
    assert put is attack
    assert (audit.examples.ids, audit.mark, audit.solver, audit.service) == (
        LAID.queried.ids,
        LAID.mark,
        SOLVER,
        "a service",
    )
    assert (audit.seed, audit.name, audit.access, audit.progress) == (3, "a name", access, "a progress")
    assert audit.budget == (6.0 if isinstance(attack, CaptionOnly) else 30.0)
    assert audit.others.ids == LAID.calibration.ids
    assert (audit.pictures is not None, audit.company is not None) == (black, isinstance(attack, CaptionOnly))
    assert not black or (audit.pictures.images, int(audit.pictures.refused.sum())) == ("pictures", 26)


def test_a_query_may_be_put_about_another_split_and_may_change_no_weight(asked):
    attack = SimpleNamespace(access=Access.BLACK_BOX, cost=lambda solver: 1.0)
    one, other = case(attack=lambda name: attack), SimpleNamespace(split=split(4, 20), handed_out={})
    assert answers.ask_query(one, "x", "model", Space(None), other)[1] is other.split
    assert asked.services[0][1]["data"][0] is other
    asked.states = iter([{"a": 1}, {"a": 2}])
    with pytest.raises(answers.PluginFault, match="query x: found a changed model"):
        answers.ask_query(one, "x", "model", Space(None))


@pytest.mark.parametrize(("over", "kind"), [(0, None), (1, "denoiser evaluations"), (2, "encodings and decodings")])
def test_a_query_of_the_weights_keeps_its_budget_in_both_kinds_of_work(asked, monkeypatch, over, kind):
    most = 2 * len(LAID.queried)
    spent = Evaluations(most - 1 + (over == 1), 1, 1, most - 1 + (over == 2))
    monkeypatch.setattr(answers, "metered", lambda: _Spent(spent))
    one = case(attack=lambda name: SimpleNamespace(access=Access.WHITE_BOX, cost=lambda solver: 2.0))
    if kind is None:
        answers.ask_query(one, "x", "model", Space(None))
    else:
        with pytest.raises(answers.PluginFault, match=f"query x: found 2 {kind} an image; expected at most 2"):
            answers.ask_query(one, "x", "model", Space(None))


class _Spent:
    def __init__(self, spent):
        self.spent = spent

    def __enter__(self):
        return self.spent

    def __exit__(self, *raised):
        pass


def test_the_power_of_a_query_is_stored_by_question_space_and_network(monkeypatch, tmp_path):
    spaces = Called(monkeypatch, answers.weights, "train_space_or_load", "latents")
    monkeypatch.setattr(answers.weights, "space_key", lambda space, network: {"space": (space, network)})
    monkeypatch.setattr(answers, "_question", lambda case, name: {"query": name})
    monkeypatch.setattr(answers.provenance, "describe", lambda value: ("described", value))
    monkeypatch.setattr(answers, "replace", lambda case, **more: SimpleNamespace(**{**vars(case), **more}))
    estimate = answers.Estimate(0.5, 0.4, 0.6)
    found = {"a": answers.Power(estimate, {"memorization": 1}), "b": answers.Power(None)}
    powers = Called(monkeypatch, answers, "_power", lambda bare, name, workspace: found[name])
    one, space = case(queries=(("a", None), ("b", None))), Space(tmp_path)
    assert answers.measure_power(one, space) == found
    network = one.testbed.recipe.network
    keys = [{"query": name, "space": ("latents", network), "network": ("described", network)} for name in "ab"]
    assert space.asked == [("power", key, provenance.ASKING, f"digits, {n}, seed 3") for n, key in zip("ab", keys)]
    assert [(bare.composition.parts, name, where) for (bare, name, where), _ in powers] == [((), n, space) for n in "ab"]
    assert spaces[0][0][0].composition.parts == ()


def test_the_perfect_memorizer_has_answered_the_queries_before_this_one(monkeypatch):
    model = SimpleNamespace(evaluations=Evaluations(), moved=None, space="its own")
    model.to = lambda device: setattr(model, "moved", device) or model
    model.frozen = lambda: ("frozen", model)
    called = Called(monkeypatch, answers, "build", model)
    monkeypatch.setattr(answers, "memorize", lambda given, examples: (given, examples))
    one = case(queries=tuple((name, None) for name in "abc"))
    for name, earlier, space in (("a", 0, None), ("c", 2, "latents")):
        model.evaluations = Evaluations()
        (given, examples), keys = answers.disguised_memorizer(one, name, space, "a device")
        assert (given, model.moved, model.space) == (("frozen", model), "a device", space or "its own")
        assert model.evaluations.forward == earlier * 6 * len(LAID.queried)
        assert (len(examples), keys.shape) == (6, (6, 8))
        (network, rng), _ = called[-1]
        assert (network, drawn(rng)) == (one.testbed.recipe.network, from_stream(3, "weights of the perfect memorizer"))


def test_the_baseline_is_asked_the_leading_query_alone_under_its_own_case(monkeypatch, tmp_path):
    monkeypatch.setattr(
        answers, "replace", lambda case, **more: SimpleNamespace(**{**vars(case), **more, "case_id": "bare", "leading": "a"})
    )
    monkeypatch.setattr(answers, "_question", lambda case, name: {"question": name})
    monkeypatch.setattr(answers.weights, "train_or_load", lambda case, workspace: (("model of", case.queries), "info"))
    saved = SimpleNamespace(save=lambda folder: (folder / "saved").write_text(""))
    asks = Called(monkeypatch, answers, "ask_query", saved)
    monkeypatch.setattr(answers.Responses, "load", lambda folder: ("loaded", folder))
    one, space = case(queries=(("a", "first"), ("b", "second"))), Space(tmp_path)
    assert answers.ask_baseline(one, space) == ("loaded", tmp_path)
    label = "digits, none, a, seed 3"
    assert space.asked == [("baseline answers", {"case": "bare", "question": "a"}, provenance.ASKING, label)]
    (((bare, name, model, where), _),) = asks
    assert (bare.composition.parts, bare.queries, name, where) == ((), (("a", "first"),), "a", space)
    assert (model, (tmp_path / "saved").exists()) == (("model of", (("a", "first"),)), True)


def test_a_query_is_described_with_its_source_and_solver(monkeypatch):
    monkeypatch.setattr(answers.provenance, "describe", lambda value: ("described", value))
    monkeypatch.setattr(answers.provenance, "source_digest", lambda module: f"digest of {module}")
    attack = CaptionOnly()
    one = case(attack=lambda name: attack)
    told = ["x", ("described", attack), "digest of solidmark.queries.caption_only", ("described", SOLVER)]
    assert answers._described(one, "x") == told
    assert answers._question(one, "x") == {"split": "f", "seed": 3, "query": told}


# Generation, exchanged words, detectors


@pytest.mark.parametrize(("stages", "count"), [((), 0), ((Stage.SAMPLING,), 6), ((Stage.TRAINING,), 0)])
def test_a_known_mark_is_asked_with_company_where_a_sampling_stage_could_tell(monkeypatch, stages, count):
    monkeypatch.setattr(generation.weights, "at_sampling", lambda *given: ("handed", *given))
    services = Called(monkeypatch, generation, "Service", SimpleNamespace())
    asks = []
    monkeypatch.setattr(Audit, "outpaint", lambda self, **named: asks.append((self, named)))
    along = Called(monkeypatch, generation, "generated_along", lambda *given: ("found", None, None))
    short = _with_fresh(20)
    one, space = case(composition=Parts(stages=stages)), Space(None)
    blind = SimpleNamespace(split=short)
    assert generation._round_a_known_mark(one, "model", space, blind) == "found"
    (((model, parts, seed, name), named),) = services
    assert (model, parts, seed, name) == ("model", Parts("sampling"), 3, generation.KNOWN_MARK)
    assert named == {"data": ("handed", one, blind, space, "model")}
    ((audit, named),) = asks
    order = torch.randperm(26, generator=seeds.torch_rng(3, "company of a known mark")).tolist()
    assert (audit.examples.ids, named) == ([LAID.queried.ids[row] for row in order[:count]], {"draw": 1})
    assert (audit.mark, audit.solver, audit.seed, audit.name) == (LAID.mark, SOLVER, 3, generation.KNOWN_MARK)
    assert (audit.progress, len(audit.company)) == ("a progress", 20)
    inside = torch.ones(12, 12, dtype=torch.bool)
    inside[:2], inside[-2:], inside[:, :2], inside[:, -2:] = False, False, False, False
    assert torch.equal(audit.company.mask, inside.expand(20, 1, 12, 12))
    (((of, evaluations, seconds), _),) = along
    assert (of is audit, evaluations.forward, 0 <= seconds < 5) == (True, 0, True)


def _with_fresh(count):
    """A split of 26 queried images and so many fresh captions."""
    fresh = [f"one {n}" for n in range(count)]
    return SimpleNamespace(**{name: getattr(LAID, name) for name in ("queried", "mark", "trained")}, fresh_captions=fresh)


def test_a_known_mark_is_stored_by_weights_split_seed_and_solver(monkeypatch, tmp_path):
    monkeypatch.setattr(generation, "is_kept", lambda case: case.kept)
    monkeypatch.setattr(generation.weights, "fingerprint", lambda model: f"fingerprint of {model}")
    monkeypatch.setattr(generation.provenance, "describe", lambda value: ("described", value))
    saved = SimpleNamespace(save=lambda folder: (folder / "saved").write_text(""))
    asks = Called(monkeypatch, generation, "_round_a_known_mark", saved)
    monkeypatch.setattr(generation.Generated, "load", lambda folder: ("loaded", folder))
    space, one = Space(tmp_path), case(kept=True)
    assert generation.round_a_known_mark(one, "model", space) == ("loaded", tmp_path)
    key = {"weights": "fingerprint of model", "split": "f", "seed": 3, "solver": ("described", SOLVER)}
    modules, label = (*provenance.ASKING, "measurement/generation"), f"digits, {one.composition.label}, seed 3"
    assert (space.asked, (tmp_path / "saved").exists()) == ([(generation.KNOWN_MARK, key, modules, label)], True)
    assert generation.round_a_known_mark(one, "model", space, "other split") is saved
    assert generation.round_a_known_mark(case(kept=False), "model", space) is saved
    assert [given[1:3] for given, _ in asks] == [("model", space)] * 3
    assert [given[3] if given[3] == "other split" else given[3].split for given, _ in asks] == [LAID, "other split", LAID]


@pytest.mark.parametrize("tells", [True, False])
def test_pictures_are_judged_against_held_out_images_and_others_with_their_labels(monkeypatch, tells):
    calls = Called(monkeypatch, generation.utility, "measure", lambda *given: given)
    monkeypatch.setattr(generation, "no_utility", lambda case, split: None)
    one = case()
    one.testbed.judge, one.testbed.tells_class = lambda: "a judge", tells
    ways = (generation.FRESH, generation.HELD_OUT, generation.KNOWN_MARK)
    shown = {
        way: SimpleNamespace(images=torch.full((2, 1, 8, 8), 0.1 * n), refused=f"refused {n}") for n, way in enumerate(ways)
    }
    found = generation.judge(one, LAID, shown)
    labels = dict(zip(ways, (LAID.fresh_labels, LAID.held_out_labels, LAID.fresh_labels), strict=True))
    for way, (pictures, told, real, others, judge, refused) in found.items():
        assert pictures.tolist() == shown[way].images.flatten(1).double().tolist()
        assert (told is None) if not tells else told.tolist() == labels[way][:2].tolist()
        assert real.tolist() == LAID.held_out.images.flatten(1).double().tolist()
        assert others.tolist() == LAID.other_reference.flatten(1).double().tolist()
        assert (judge, refused) == ("a judge", shown[way].refused)
    assert ([*found], len(calls)) == ([*ways], 3)


def test_exchanged_words_are_put_to_the_service_of_the_case(monkeypatch):
    changes, services = [], Called(monkeypatch, sources, "Service", "a service")
    monkeypatch.setattr(sources.weights, "at_sampling", lambda *given: changes.append(given) or "handed")
    monkeypatch.setattr(sources, "exchanged", lambda half, seed: ("exchanged", half, seed))
    asks = []
    monkeypatch.setattr(Audit, "generate", lambda self: asks.append(self))
    along = Called(monkeypatch, sources, "generated_along", lambda *given: ("found", None, None))
    one, space = case(), Space(None)
    one.blind = SimpleNamespace(split=_with_fresh(5))
    assert sources._generate(one, "model", space) == "found"
    assert [*services] == [(("model", Parts("sampling"), 3, sources.PURPOSE), {"data": "handed"})]
    (given,) = changes
    assert (given[:4], given[4]("half")) == ((one, one.blind, space, "model"), ("exchanged", "half", 3))
    (audit,) = asks
    assert (len(audit.examples), audit.mark, audit.solver, audit.service) == (0, LAID.mark, SOLVER, "a service")
    assert (audit.seed, audit.name, audit.progress, len(audit.company)) == (3, sources.PURPOSE, "a progress", 3)
    (((of, evaluations, seconds), _),) = along
    assert (of is audit, evaluations.forward, 0 <= seconds < 5) == (True, 0, True)


def test_names_are_exchanged_by_the_order_of_the_seed():
    exchanges = []
    twin = SimpleNamespace(text=SimpleNamespace(exchange_classes=exchanges.append))
    twin.frozen = lambda: twin
    model = SimpleNamespace(copy=lambda: twin, config=SimpleNamespace(classes=tuple("abcdefghij")))
    assert sources.exchanged(model, 5) is twin
    assert exchanges == [torch.randperm(10, generator=seeds.torch_rng(5, "exchanged words")).tolist()]


def test_a_detector_is_shown_plain_generation_before_its_first_step():
    model = SimpleNamespace(device="cpu", shape=(2, 5, 4), schedule=SimpleNamespace(times=lambda steps: [f"{steps} times"]))
    model.embed, model.cells = lambda captions: ("embedded", tuple(captions)), lambda mask: ("cells", mask)
    model.encode = lambda images: ("encoded", images)
    one, asked = case(), LAID.trained.take([4, 1])
    batch = detectors._batch(one, model, asked)
    assert (batch.captions, batch.embeddings) == (asked.captions, ("embedded", tuple(asked.captions)))
    assert (batch.unconditional, batch.model, batch.times) == (("embedded", ("", "")), model, ["3 times"])
    assert (batch.guidance, batch.eta, batch.steps) == (2.5, 0.25, 3)
    alone = detectors.noises([asked.ids[1]], model.shape, 1, 3, "detectors")[0, 0]
    assert (batch.noise.shape, batch.refused.tolist()) == ((2, 2, 5, 4), [False, False])
    assert torch.equal(batch.noise[1], alone)
    (kind, mask), (other, blank) = batch.mask, batch.observed
    assert (kind, mask.shape, bool(mask.all()), mask.dtype) == ("cells", (2, 1, 12, 12), True, torch.bool)
    assert (other, blank.shape, blank.unique().tolist()) == ("encoded", (2, 1, 12, 12), [0.5])
