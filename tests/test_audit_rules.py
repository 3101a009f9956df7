"""Rules of an audit: what is asked in which batch with which noise, what is spent, who answers, what an answer may be."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from solidmark import queries
from solidmark.data import Examples
from solidmark.errors import InvalidValue, PluginFault
from solidmark.marks import BLANK, Border
from solidmark.queries import Access, Answer, Attack, Audit, Company, Pictures, ask, decoy
from solidmark.sampling import SolverConfig

MARK = Border(1, 2)
IMAGES = torch.rand(5, 1, 10, 10, generator=torch.Generator().manual_seed(3))


class Asked:
    """A service that answers with a tenth more than it observes, refuses captions of two words, and notes each call."""

    def __init__(self):
        self.calls, self.refused = [], []
        self.model = SimpleNamespace(shape=(1, 10, 10), device=torch.device("cpu"), space=SimpleNamespace(factor=1))

    def sample(self, captions, observed, mask, noises, solver, *, begin, embeddings):
        self.calls.append(SimpleNamespace(**{k: v for k, v in locals().items() if k != "self"}))
        self.refused.append(torch.tensor([len(caption.split()) == 2 for caption in captions]))
        return observed + 0.1


def audit(service=None, **more):
    examples = Examples(IMAGES, ["a", "b b", "c", "d", "e"], [10, 11, 12, 13, 14])
    return Audit(examples, MARK, SolverConfig(steps=2, batch=2), service or Asked(), 7, "mine", **more)


def test_each_image_is_asked_once_in_a_batch_with_its_caption_mask_and_noise():
    made, told = audit(service := Asked()), []
    made.progress = lambda *words: told.append(words)
    answers = made.outpaint(draw=3)
    assert [len(call.captions) for call in service.calls] == [2, 2, 1]
    order = [caption for call in service.calls for caption in call.captions]
    assert sorted(order) == ["a", "b b", "c", "d", "e"] != order
    assert order == [made.examples.captions[row] for batch in made.batches() for row in batch.tolist()]
    assert told == [("mine", done, 5) for done in (2, 4, 5)]
    for call in service.calls:
        for row, caption in enumerate(call.captions):
            number = "a b c d e".index(caption[0]) // 2
            assert torch.equal(call.mask[row], made.mask[number])
            assert torch.equal(call.observed[row], torch.where(made.mask[number], BLANK, IMAGES[number]))
    assert torch.allclose(answers, torch.where(made.mask, BLANK, IMAGES) + 0.1)
    assert made.refused[0].tolist() == [False, True, False, False, False]
    assert made.spent == 4


def test_noise_belongs_to_an_image_and_a_draw_whatever_else_is_asked(monkeypatch):
    monkeypatch.setattr(queries, "of_image", lambda owner, seed, purpose: (owner, seed, purpose))
    monkeypatch.setattr(queries, "draw", lambda streams, shape, draws, device: (streams, shape, draws))
    made = audit()
    company = Company(["f"], IMAGES[:1], IMAGES[:1] > 2, [99])
    streams, shape, draws = made._noises([4, 0, 5], company, SolverConfig(steps=3), 2, made.service)
    assert streams == [(14, 7, 2), (10, 7, 2), (99, 7, queries.COMPANY)]
    assert (shape, draws) == ((1, 10, 10), 7)


def test_what_is_asked_in_place_of_the_own_captions_solver_and_service():
    made, other = audit(own := Asked()), Asked()
    begin, embeddings = torch.arange(5.0).reshape(5, 1, 1, 1), torch.arange(5.0)[:, None]
    solver = SolverConfig(steps=9, batch=4)
    made.outpaint(list("vwxyz"), solver=solver, begin=begin, embeddings=embeddings, service=other)
    assert (own.calls, made.spent) == ([], 18)
    for call in other.calls:
        rows = ["vwxyz".index(caption) for caption in call.captions]
        assert (call.begin.flatten().tolist(), call.embeddings.flatten().tolist()) == (rows, rows)
        assert call.solver is solver
    with pytest.raises(InvalidValue, match=r"4 captions.*expected 5"):
        made.outpaint(list("abcd"))


def test_the_error_of_the_decoy_is_its_mean_beside_the_mark():
    made = audit()
    made.outpaint()
    for row, errors in enumerate(made.decoy_errors[0]):
        block = made.mask[row] & ~made.marked
        assert int(block.sum()) == queries.DECOY**2
        assert float(errors) == pytest.approx(float((BLANK + 0.1 - IMAGES[row])[block].abs().mean()), abs=1e-6)


def test_fresh_captions_are_asked_along_once_and_never_with_other_embeddings():
    along = Company(["one", "two two"], IMAGES[:2] * 0, IMAGES[:2] >= 0, [1, 2])
    made = audit(service := Asked(), company=along)
    made.outpaint(embeddings=torch.zeros(5, 1))
    assert (along.answers, sum(len(call.captions) for call in service.calls)) == (None, 5)
    answers = made.generate()
    assert sum(len(call.captions) for call in service.calls) == 12
    assert (len(answers), along.answers.shape, along.refused.tolist()) == (5, (2, 1, 10, 10), [False, True])
    assert torch.allclose(along.answers, torch.full((2, 1, 10, 10), 0.1))
    assert (len(made.refused[1]), made.decoy_errors[1:]) == (5, [])
    made.generate(draw=1)
    assert sum(len(call.captions) for call in service.calls) == 17


def test_pictures_that_are_there_are_given_again_for_the_first_draw_of_the_own_captions():
    there = Pictures(IMAGES / 2, torch.tensor([True, False, False, False, True]))
    made = audit(service := Asked(), pictures=there)
    found = made.generate()
    assert (torch.equal(found, there.images), found is there.images, service.calls) == (True, False, [])
    assert (made.refused[0].tolist(), made.refused[0] is there.refused) == (there.refused.tolist(), False)
    assert made.spent == 4
    made.generate(draw=1)
    made.generate(made.examples.captions)
    assert (len(service.calls), made.spent) == (6, 12)
    assert all(bool(call.mask.all()) for call in service.calls)


@pytest.mark.parametrize(("spent", "fits"), [((5, 5), True), ((5, 5 + 1e-9), True), ((5, 5.001), False), ((11,), False)])
def test_a_query_spends_what_it_declares_and_no_more(spent, fits):
    made = audit(budget=10.0)
    for one in spent[:-1]:
        made.spend(one)
    if fits:
        made.spend(spent[-1])
        assert made.spent == pytest.approx(10)
    else:
        with pytest.raises(PluginFault, match=r"query mine: found 1[01] denoiser.*at most 10, as declared"):
            made.spend(spent[-1])


def test_the_weights_are_handed_to_queries_of_the_weights_alone():
    service = Asked()
    assert audit(service, access=Access.WHITE_BOX).model is service.model
    with pytest.raises(InvalidValue, match="access black-box"):
        assert audit(service).model


@pytest.mark.parametrize("cell", [1, 4])
def test_a_decoy_is_one_square_beside_the_mark_on_whole_cells_another_for_each_image(cell):
    marked = torch.zeros(16, 24, dtype=torch.bool)
    marked[:4] = marked[:, :4] = True
    side, places = max(queries.DECOY, cell), set()
    for number in range(40):
        block = decoy(0, number, marked, cell)
        assert torch.equal(block, decoy(0, number, marked, cell))
        rows, columns = (block.any(dim=1 - dim).nonzero().flatten().tolist() for dim in (0, 1))
        assert rows == list(range(rows[0], rows[0] + side))
        assert columns == list(range(columns[0], columns[0] + side))
        assert (int(block.sum()), bool((block & marked).any())) == (side * side, False)
        assert rows[0] % cell == columns[0] % cell == 0
        places.add((rows[0], columns[0]))
    assert len(places) > 3


@dataclass(frozen=True)
class Says(Attack):
    """Answers with an object that a test gives it by name."""

    name: str = "keys"

    def ask(self, audit):
        """What the test wants."""
        return ANSWERS[self.name]


KEYS = torch.tensor([[0.0, 1.0]]).expand(5, 2)
ANSWERS = {
    "keys": Answer(KEYS),
    "nan": Answer(KEYS * float("nan")),
    "low": Answer(KEYS - 1e-6),
    "high": Answer(KEYS + 1e-6),
    "few": Answer(KEYS[:4]),
    "narrow": Answer(KEYS[:, :1]),
    "none": None,
}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("keys", None),
        ("nan", "outside"),
        ("low", "outside"),
        ("high", "outside"),
        ("few", r"\(4, 2\)"),
        ("narrow", r"\(5, 1\)"),
        ("none", "NoneType"),
    ],
)
def test_keys_are_as_many_as_images_and_segments_and_lie_from_black_to_white(name, found):
    if found is None:
        assert ask(Says(), audit()) is ANSWERS["keys"]
        return
    with pytest.raises(PluginFault, match=rf"query mine: found (keys )?{found}"):
        ask(Says(name), audit())


def test_an_attack_costs_a_run_unless_it_says_otherwise_and_must_say_how_it_asks():
    assert Attack().cost(SolverConfig(steps=3)) == 6
    with pytest.raises(PluginFault, match="Attack does not define how it asks"):
        ask(Attack(), audit())
