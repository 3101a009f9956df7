"""Queries by small scripted audits: what each asks and gives, what it costs, and an audit of wide pictures row by row."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from solidmark import marks, queries, seeds
from solidmark.data import Examples
from solidmark.errors import InvalidValue, NotApplicable, PluginFault
from solidmark.marks import Border
from solidmark.queries import Access, Answer, Attack, Audit, Company, Pictures, _Request, ask
from solidmark.queries import relearn as relearning
from solidmark.queries.average import Average
from solidmark.queries.by_content import ByContent
from solidmark.queries.caption_only import CaptionOnly
from solidmark.queries.cyclic import Cyclic
from solidmark.queries.embedding import Embedding
from solidmark.queries.grid import Grid
from solidmark.queries.image_only import ImageOnly
from solidmark.queries.likelihood import LEVELS, Likelihood, denoising_loss, likeliest, propose
from solidmark.queries.median import Median
from solidmark.queries.outpaint import Outpaint
from solidmark.queries.relearn import Relearn
from solidmark.queries.resample import Resample
from solidmark.sampling import SolverConfig

SOLVER = SolverConfig(steps=4, guidance=2.0, eta=0.5, batch=3)


class Scripted:
    """An audit that notes what it is asked; pictures are numbers, a hundred times the draw and more."""

    def __init__(self, count=2):
        self.solver, self.asked, self.spent = SOLVER, [], []
        self.examples, self.name, self.seed = range(count), "mine", 3
        self.spend = self.spent.append

    def outpaint(self, captions=None, draw=0, **more):
        self.asked.append((captions, draw, more))
        return torch.tensor([[0.0, 0.1], [0.2, 0.5]]) * (draw + 1) ** 2 / 100

    def generate(self):
        self.asked.append("generate")
        return torch.tensor([[0.3, 0.4], [0.6, 0.7]])

    def read(self, images):
        return images * 2

    def painted(self, keys):
        return "painted", keys.tolist()


BASE = torch.tensor([[0.0, 0.1], [0.2, 0.5]]) / 100
PLAIN = (None, 0, {})


@pytest.mark.parametrize(
    ("query", "asked", "factor", "picture"),
    [
        (Outpaint(), [PLAIN], 1, 1),
        (ImageOnly(), [(["", ""], 0, {})], 1, 1),
        (Average(3), [(None, draw, {}) for draw in range(3)], (1 + 4 + 9) / 3, 1),
        (Median(3), [(None, draw, {}) for draw in range(3)], 4, 1),
        (Median(2), [(None, draw, {}) for draw in range(2)], 2.5, 1),
        (Resample(5), [(None, 0, {"solver": replace(SOLVER, rounds=5)})], 1, 1),
    ],
)
def test_a_query_outpaints_as_it_says_and_gives_the_pictures_of_its_first_draw(query, asked, factor, picture):
    audit = Scripted()
    answer = query.ask(audit)
    assert audit.asked == asked
    assert torch.allclose(answer.keys, 2 * factor * BASE)
    assert torch.allclose(answer.images, picture * BASE)


@pytest.mark.parametrize(("cycles", "mean"), [(1, 4), (2, 9), (3, (9 + 16) / 2), (4, (16 + 25) / 2)])
def test_cycles_begin_from_the_last_picture_and_the_later_half_counts(cycles, mean):
    audit, solver = Scripted(), replace(SOLVER, strength=0.25)
    answer = Cyclic(cycles, 0.25).ask(audit)
    assert audit.asked[0] == PLAIN
    for draw, (captions, number, more) in enumerate(audit.asked[1:], start=1):
        assert (captions, number, more["solver"], set(more)) == (None, draw, solver, {"solver", "begin"})
        assert torch.equal(more["begin"], torch.tensor([[0.0, 0.1], [0.2, 0.5]]) * draw**2 / 100)
    assert len(audit.asked) == cycles + 1
    assert torch.allclose(answer.keys, 2 * mean * BASE)
    assert torch.allclose(answer.images, (cycles + 1) ** 2 * BASE)


def test_generation_is_read_as_it_is_or_from_the_picture_nearest_to_each_image():
    audit = Scripted()
    answer = CaptionOnly().ask(audit)
    pictures = torch.tensor([[0.3, 0.4], [0.6, 0.7]])
    assert audit.asked == ["generate"]
    assert torch.equal(answer.keys, 2 * pictures)
    assert torch.equal(answer.images, pictures)
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(8, 1, 2, 4, generator=rng)
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    mark = SimpleNamespace(content=lambda given: given)
    shown = SimpleNamespace(generate=lambda: images[order], examples=SimpleNamespace(images=images), mark=mark)
    shown.read = lambda pictures: pictures[:, 0, 0]
    answer = ByContent().ask(shown)
    assert torch.equal(answer.images, images)
    assert torch.equal(answer.keys, images[:, 0, 0])


RUN = SOLVER.evaluations


@pytest.mark.parametrize(
    ("query", "cost"),
    [
        (Outpaint(), RUN),
        (CaptionOnly(), RUN),
        (Average(3), 3 * RUN),
        (Median(5), 5 * RUN),
        (Resample(3), replace(SOLVER, rounds=3).evaluations),
        (Cyclic(6, 0.5), RUN + 6 * replace(SOLVER, strength=0.5).evaluations),
        (Likelihood(5, 7), 5 * (2 * 7 + 3)),
        (Grid(5, 4, 6), 5 * (2 * 10 + 3) + 3 * 6 * 4),
        (Embedding(7, 0.1, 3), 14 + 3 * RUN),
        (Relearn(7, 0.1, 5), 2 * 7 * 5 + RUN),
    ],
)
def test_a_query_declares_what_it_costs(query, cost):
    assert query.cost(SOLVER) == cost


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Average, {"draws": [1]}, {"draws": [0]}),
        (Median, {"draws": [1]}, {"draws": [0]}),
        (Resample, {"rounds": [1]}, {"rounds": [0]}),
        (Cyclic, {"cycles": [1], "strength": [1e-9, 1.0]}, {"cycles": [0], "strength": [0.0, 1.0 + 1e-9]}),
        (Likelihood, {"proposals": [1], "steps": [1]}, {"proposals": [0], "steps": [0]}),
        (Grid, {"proposals": [1], "grays": [2], "segments": [1]}, {"proposals": [0], "grays": [1], "segments": [0]}),
        (Embedding, {"updates": [1], "draws": [1], "rate": [1e-9]}, {"updates": [0], "draws": [0], "rate": [0.0]}),
        (Relearn, {"updates": [1], "batch": [1], "rate": [1e-9]}, {"updates": [0], "batch": [0], "rate": [0.0]}),
    ],
)
def test_each_number_of_a_query_has_its_own_least_value(kind, good, bad):
    for name, values in good.items():
        for value in values:
            assert getattr(kind(**{name: value}), name) == value
    for name, values in bad.items():
        for value in values:
            with pytest.raises(InvalidValue, match=kind.__name__):
                kind(**{name: value})


# Likelihood and grid


def test_proposals_are_short_runs_without_guidance_and_the_likeliest_of_each_image_is_kept(monkeypatch):
    audit = Scripted()
    found = propose(audit, 3, 7)
    short = replace(SOLVER, steps=7, guidance=1.0)
    assert audit.asked == [(None, draw, {"solver": short}) for draw in range(3)]
    assert [torch.allclose(keys, 2 * (draw + 1) ** 2 * BASE) for draw, keys in enumerate(found)] == [True] * 3
    losses = iter([torch.tensor([3.0, 1.0]), torch.tensor([2.0, 1.0]), torch.tensor([2.5, 4.0])])
    monkeypatch.setattr("solidmark.queries.likelihood.denoising_loss", lambda audit, keys: next(losses))
    keys, lowest = likeliest(audit, found)
    assert torch.equal(keys, torch.stack([found[1][0], found[0][1]]))
    assert lowest.tolist() == [2.0, 1.0]
    monkeypatch.setattr("solidmark.queries.likelihood.likeliest", lambda audit, proposals: (proposals[-1], "loss"))
    answer = Likelihood(2, 7).ask(audit)
    assert answer.images == ("painted", answer.keys.tolist())
    assert audit.asked[3:] == [(None, draw, {"solver": short}) for draw in range(2)]


class Wide:
    """A model of 2 x 3 x 5 whose prediction of the noise is a third of what it sees and a number of the caption."""

    shape, device, steps = (2, 3, 5), "cpu", 11

    def __init__(self):
        self.schedule, self.seen = self, []

    def encode(self, images):
        return 2 * images - 1

    def embed(self, captions):
        return torch.tensor([float(len(caption)) for caption in captions])

    def add_noise(self, clean, noise, t):
        return clean + t * noise

    def predict(self, x, t, embeddings):
        self.seen.append(t)
        return SimpleNamespace(noise=x / 3 + embeddings[:, None, None, None])


def test_the_loss_of_an_answer_is_the_sum_over_levels_channels_and_pixels():
    model, images = Wide(), torch.rand(5, 2, 3, 5, generator=torch.Generator().manual_seed(1))
    captions, spent = ["a", "bb", "ccc", "", "e"], []
    examples = Examples(images, captions, [7, 3, 9, 1, 4])
    audit = SimpleNamespace(model=model, painted=lambda keys: images * keys, spend=spent.append, seed=3, examples=examples)
    audit.batches = lambda: [torch.tensor([4, 0]), torch.tensor([2, 1, 3])]
    keys = torch.linspace(0.2, 1, 5)[:, None, None, None]
    found = denoising_loss(audit, keys)
    for row, number in enumerate(examples.ids):
        noise = torch.randn((len(LEVELS), *model.shape), generator=seeds.torch_rng(3, "likelihood", number))
        clean = 2 * images[row] * keys[row] - 1
        errors = [
            (clean + round(10 * share) * n) / 3 + len(captions[row]) - n for share, n in zip(LEVELS, noise, strict=True)
        ]
        assert float(found[row]) == pytest.approx(float(torch.stack(errors).square().sum()), rel=1e-5)
    assert (spent, model.seen) == ([3], [1, 3, 5] * 2)


# Searches


def test_an_embedding_moves_by_the_rate_against_the_gradient_of_its_content():
    model, mark = Wide(), Border(thickness=1, segments=2)
    model.add_noise = lambda clean, noise, t: clean + t[:, None, None, None] * noise
    model.cells = lambda mask: mask
    seen = []

    def predict(x, t, embeddings):
        seen.append((x, t))
        sides = torch.where(mark.region(3, 5), -100.0, 1.0)  # what lies under the mark would move it the other way
        return SimpleNamespace(losses=lambda clean, noise: embeddings[:, :, None, None] * sides)

    model.predict = predict
    images = torch.rand(4, 2, 3, 5, generator=torch.Generator().manual_seed(2))
    audit = SimpleNamespace(
        model=model, mark=mark, marked=mark.region(3, 5), seed=3, examples=SimpleNamespace(images=images)
    )
    rows, start = torch.tensor([2, 0]), torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    found = Embedding(updates=2, rate=0.25)._search(audit, rows, start)
    assert torch.allclose(found, start - 0.5, atol=1e-4)  # a constant gradient moves Adam by its rate
    assert not found.requires_grad
    rng = seeds.torch_rng(3, "embedding search", 2)
    for x, t in seen:
        keys = torch.rand(2, mark.segments, generator=rng)
        clean = 2 * marks.paint(mark, images[rows], keys) - 1
        noise = torch.randn(clean.shape, generator=rng)
        times = torch.randint(11, (2,), generator=rng)
        assert torch.equal(t, times)
        assert torch.equal(x, model.add_noise(clean, noise, times))


@pytest.mark.parametrize("width", [2, 0])
def test_embeddings_are_searched_batch_by_batch_and_asked_draw_by_draw(monkeypatch, width):
    audit = Scripted(3)
    audit.model = SimpleNamespace(embed=lambda captions: torch.arange(6.0).reshape(3, 2)[:, :width])
    audit.examples = SimpleNamespace(captions=["a", "b", "c"])
    audit.batches = lambda: [torch.tensor([2, 0]), torch.tensor([1])]
    searched = []

    def search(self, audit, indices, start):
        searched.append((indices.tolist(), start.tolist()))
        return start + 10

    monkeypatch.setattr(Embedding, "_search", search)
    query = Embedding(updates=7, draws=2)
    if not width:
        with pytest.raises(NotApplicable, match="query mine: found a model without conditions"):
            query.ask(audit)
        return
    answer = query.ask(audit)
    assert (audit.spent, searched) == ([14], [([2, 0], [[4.0, 5.0], [0.0, 1.0]]), ([1], [[2.0, 3.0]])])
    assert [(captions, draw) for captions, draw, _ in audit.asked] == [(None, 0), (None, 1)]
    assert all(torch.equal(more["embeddings"], torch.arange(6.0).reshape(3, 2) + 10) for *_, more in audit.asked)
    assert torch.allclose(answer.keys, 2 * 2.5 * BASE)
    assert torch.allclose(answer.images, BASE)


def test_a_copy_relearns_other_images_and_what_it_costs_counts(monkeypatch):
    audit = Scripted(4)
    tuned = SimpleNamespace(evaluations=SimpleNamespace(forward=7, backward=5))
    tuned.frozen = lambda: tuned
    audit.others = "others"
    evaluations = SimpleNamespace(forward=100, backward=10)
    audit.model = SimpleNamespace(parameters=lambda: ["a weight"], copy=lambda: "a copy", evaluations=evaluations)
    made, drawn = [], []
    monkeypatch.setattr(relearning, "Service", lambda *given: made.append(given) or "a service")
    batch = SimpleNamespace(losses=lambda model: torch.tensor([1.0, 3.0]) if model == "a copy" else None)
    monkeypatch.setattr(relearning, "draw_noised_batch", lambda *given: drawn.append(given) or batch)

    def minimize(model, loss, updates, rate):
        assert (model, float(loss()), updates, rate) == ("a copy", 2.0, 6, 0.5)
        return tuned

    monkeypatch.setattr(relearning, "minimize_loss", minimize)
    answer = Relearn(6, 0.5, 8).ask(audit)
    assert audit.spent == [2 * 6 * 8 / 4]
    assert [(given[0], given[1].parts, *given[2:]) for given in made] == [(tuned, (), 3, "relearn")]
    ((model, others, rng, size),) = drawn
    assert (model, others, size) == ("a copy", "others", 8)
    assert torch.equal(torch.rand(2, generator=rng), torch.rand(2, generator=seeds.torch_rng(3, "relearn")))
    assert audit.asked == [(None, 0, {"service": "a service"})]
    assert (evaluations.forward, evaluations.backward) == (107, 15)
    assert torch.allclose(answer.keys, 2 * BASE)
    for lacking in ({"others": None}, {"model": SimpleNamespace(parameters=list)}):
        bare = Scripted()
        vars(bare).update({"others": "others", "model": audit.model, **lacking})
        with pytest.raises(NotApplicable, match="query mine"):
            Relearn().ask(bare)


# The audit


class Services:
    """A service that notes what it is asked and answers a number for each row, the last row refused."""

    def __init__(self, space=1):
        self.asked, self.refused, self.model = [], [], SimpleNamespace(shape=(2, 5, 8), device="cpu")
        self.model.space = SimpleNamespace(factor=space)

    def sample(self, captions, observed, mask, noises, solver, *, begin=None, embeddings=None):
        self.asked.append((captions, observed, mask, noises, solver, begin, embeddings))
        self.refused.append(torch.arange(len(captions)) == len(captions) - 1)
        return torch.tensor([float(caption) for caption in captions])[:, None, None, None].expand_as(observed)


def wide_audit(**more):
    """Five colour pictures of 5 x 8 with a border of one."""
    images = torch.rand(5, 2, 5, 8, generator=torch.Generator().manual_seed(4))
    examples = Examples(images, ["0.0", "0.1", "0.2", "0.3", "0.4"], [11, 12, 13, 14, 15])
    return Audit(examples, Border(thickness=1, segments=4), SOLVER, more.pop("service", Services()), 3, "mine", **more)


def company(count=2):
    observed = torch.full((count, 2, 5, 8), 0.9)
    mask = torch.zeros(count, 1, 5, 8, dtype=torch.bool)
    mask[:, :, 0] = True
    return Company(["0.7", "0.8"][:count], observed, mask, [-1, -2][:count])


def test_an_outpainting_asks_rows_in_random_batches_with_company_and_gives_each_its_own():
    told = []
    along = company()
    audit = wide_audit(company=along, progress=lambda *given: told.append(given), budget=100.0)
    begin = None
    answers = audit.outpaint(draw=2, begin=begin)
    order = torch.randperm(7, generator=seeds.torch_rng(3, "query order")).tolist()
    captions = [*audit.examples.captions, "0.7", "0.8"]
    batches = [order[:3], order[3:6], order[6:]]
    assert [given[0] for given in audit.service.asked] == [[captions[row] for row in rows] for rows in batches]
    marked, mask = audit.marked, audit.mask
    for rows, (_, observed, masked, noises, solver, *rest) in zip(batches, audit.service.asked, strict=True):
        assert (solver, rest, len(noises.streams if hasattr(noises, "streams") else rows)) == (
            SOLVER,
            [None, None],
            len(rows),
        )
        for place, row in enumerate(rows):
            own = mask[row] if row < 5 else along.mask[row - 5]
            assert torch.equal(masked[place], own)
            seen = torch.where(own, 0.5, audit.examples.images[row]) if row < 5 else along.observed[row - 5]
            assert torch.equal(observed[place], seen)
    assert torch.allclose(answers[:, 0, 0, 0], torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4]))
    assert torch.allclose(along.answers[:, 0, 0, 0], torch.tensor([0.7, 0.8]))
    last = {rows[-1] for rows in batches}
    assert audit.refused[0].tolist() == [row in last for row in range(5)]
    assert along.refused.tolist() == [row in last for row in (5, 6)]
    assert told == [("mine", done, 7) for done in (3, 6, 7)]
    hidden = (mask & ~marked).expand_as(answers)
    expected = [(answers[row] - audit.examples.images[row])[hidden[row]].abs().mean() for row in range(5)]
    assert torch.allclose(audit.decoy_errors[0], torch.stack(expected))
    assert audit.spent == RUN
    audit.outpaint()  # the company is asked once
    assert (len(audit.service.asked), sum(len(given[0]) for given in audit.service.asked[3:])) == (5, 5)


@pytest.mark.parametrize("given", ["begin", "embeddings"])
def test_what_begins_from_pictures_or_other_embeddings_has_no_company_and_takes_rows(given):
    audit, rows = wide_audit(company=company()), torch.arange(5.0)[:, None]
    other, solver = Services(), replace(SOLVER, batch=2, steps=2)
    audit.outpaint(["1.0"] * 5, solver=solver, service=other, **{given: rows})
    order = torch.randperm(5, generator=seeds.torch_rng(3, "query order")).tolist()
    taken = [torch.cat([one[5 if given == "begin" else 6].flatten() for one in other.asked]).tolist()]
    assert taken == [[float(row) for row in order]]
    assert ({one[4] for one in other.asked}, audit.service.asked, audit.company.answers) == ({solver}, [], None)
    assert all(one[6 if given == "begin" else 5] is None for one in other.asked)
    assert {caption for one in other.asked for caption in one[0]} == {"1.0"}
    assert audit.spent == solver.evaluations


def test_plain_generation_is_made_once_for_the_first_draw_of_its_own_captions():
    images, refused = torch.rand(5, 2, 5, 8), torch.tensor([True, False, False, False, True])
    audit = wide_audit(pictures=Pictures(images, refused), budget=3 * RUN)
    found = audit.generate()
    assert (torch.equal(found, images), found is images, audit.refused[0].tolist(), audit.service.asked) == (
        True,
        False,
        refused.tolist(),
        [],
    )
    assert audit.refused[0] is not refused
    for captions, draw in ((["0.5"] * 5, 0), (None, 1)):
        audit.generate(captions, draw)
    assert len(audit.service.asked) == 4
    assert all(bool(one[2].all()) and bool((one[1] == 0.5).all()) for one in audit.service.asked)
    assert audit.spent == 3 * RUN
    with pytest.raises(PluginFault, match=rf"query mine: found {4 * RUN} denoiser evaluations an image; .*{3 * RUN}, as"):
        audit.generate()


def test_the_noise_of_an_image_is_its_own_for_each_draw_and_that_of_company_by_its_number(monkeypatch):
    monkeypatch.setattr(queries, "of_image", lambda *given: given)
    monkeypatch.setattr(queries, "draw", lambda *given: given)
    audit, along = wide_audit(), company()
    solver = replace(SOLVER, steps=2)
    streams, shape, draws, device = audit._noises([6, 0, 5, 4], along, solver, 9, audit.service)
    expected = [(-2, 3, queries.COMPANY), (11, 3, 9), (-1, 3, queries.COMPANY), (15, 3, 9)]
    assert (streams, shape, draws, device) == (expected, (2, 5, 8), solver.draws, "cpu")


def test_an_audit_has_planted_keys_and_paints_and_reads_its_own_images():
    audit = wide_audit()
    assert torch.equal(audit.keys, torch.from_numpy(queries.key_rules.planted(5, 4, 3)).float())
    keys = torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
    painted = audit.painted(keys)
    assert torch.equal(painted, marks.paint(audit.mark, audit.examples.images, keys))
    assert torch.allclose(audit.read(painted), keys, atol=1e-6)
    edge = torch.ones(5, 8, dtype=torch.bool)
    edge[1:-1, 1:-1] = False
    assert torch.equal(audit.marked, edge)
    with pytest.raises(InvalidValue, match=r"query mine, audit\.model"):
        _ = audit.model
    audit.access = Access.WHITE_BOX
    assert audit.model is audit.service.model
    with pytest.raises(InvalidValue, match="Audit: found 4 captions; expected 5"):
        audit.outpaint(["0.1"] * 4)
    empty = audit._company(_Request(None, audit.mask, 0))
    assert (len(empty), empty.observed.shape, empty.mask.shape, empty.numbers) == (0, (0, 2, 5, 8), (0, 1, 5, 8), [])


@pytest.mark.parametrize(("height", "width", "cell"), [(5, 8, 1), (7, 6, 1), (8, 12, 4), (12, 8, 4), (3, 3, 1)])
def test_a_decoy_is_one_of_the_blocks_that_fit_in_order(height, width, cell):
    marked = torch.zeros(height, width, dtype=torch.bool)
    marked[0], marked[:, 0] = True, True
    side = max(2, cell)
    fits = [
        (y, x)
        for y in range(0, height - side + 1, cell)
        for x in range(0, width - side + 1, cell)
        if not marked[y : y + side, x : x + side].any()
    ]
    for number in range(4):
        expected = torch.zeros(height, width, dtype=torch.bool)
        if fits:
            place = int(torch.randint(len(fits), (), generator=seeds.torch_rng(3, "decoy", number)))
            y, x = fits[place]
            expected[y : y + side, x : x + side] = True
        assert torch.equal(queries.decoy(3, number, marked, cell), expected)
    assert not queries.decoy(3, 0, torch.ones(4, 4, dtype=torch.bool)).any()


def test_an_empty_audit_has_an_empty_mask():
    audit = wide_audit()
    audit.examples = audit.examples.take([])
    assert audit.mask.shape == (0, 1, 5, 8)


@pytest.mark.parametrize(
    ("keys", "refused"),
    [
        (np.zeros((5, 4)), None),
        (np.ones((5, 4)), None),
        (np.zeros((4, 5)), r"found \(4, 5\); expected Answer\(keys\) of shape \(5, 4\)"),
        (np.full((5, 4), -1e-6), r"keys outside \[0, 1\] or NaN"),
        (np.full((5, 4), 1 + 1e-6), r"keys outside"),
        (np.full((5, 4), np.nan), r"keys outside"),
    ],
)
def test_an_answer_has_a_key_in_range_for_each_segment(keys, refused):
    query = type("Mine", (Attack,), {"ask": lambda self, audit: Answer(torch.from_numpy(keys))})()
    if refused is None:
        assert ask(query, wide_audit()).keys.tolist() == keys.tolist()
    else:
        with pytest.raises(PluginFault, match=f"query mine: {refused}" if "found" in refused else refused):
            ask(query, wide_audit())
    other = type("Mine", (Attack,), {"ask": lambda self, audit: "words"})()
    with pytest.raises(PluginFault, match="query mine: found str"):
        ask(other, wide_audit())
    with pytest.raises(PluginFault, match="query mine"):
        ask(Attack(), wide_audit())
