"""Methods that are handed training images: what the decoys among them give away, and anti-memorization guidance."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import worlds
from worlds import memorizer

from solidmark import Mitigation, Needs, Sampler, assess, scores
from solidmark.queries import Audit, ask
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import Protocol, Service


def answered(laid, mitigation, model=None):
    """Predicted keys of trained and held-out images, asked by outpainting through a mitigation."""
    service = Service(model or memorizer(laid), worlds.composed(mitigation), 0, data=dict(laid.handed_out()))
    audit = Audit(laid.asked, laid.mark, Protocol(steps=10), service, 0, "outpaint")
    predicted = ask(Outpaint(), audit).keys.double().numpy()
    return predicted[: len(laid.trained)], predicted[len(laid.trained) :]


@dataclass(frozen=True)
class Lookup(Mitigation):
    """A cheat: finds the asked image by its known pixels and answers with what `peek` makes of the mark it finds."""

    peek: str = "copy"
    needs = Needs.TRAINING_IMAGES

    def sampler(self, inner: Sampler) -> Sampler:
        return Looking(self, inner)


class Looking(Sampler):
    def after(self, x, x0, t, query):
        images = self.model.encode(self.data.training_images.images)
        apart = ((images[None] - query.known[:, None]).square() * ~query.free[:, None]).flatten(2).sum(dim=2)
        least, places = apart.min(dim=1)
        found = images[places] if self.mitigation.peek == "copy" else torch.where(images[places] > 0, -1.0, 1.0)
        return torch.where((least < 1e-6)[:, None, None, None], found, self.inner.after(x, x0, t, query))


def test_neither_place_nor_id_nor_caption_tells_a_decoy_from_a_trained_image():
    laid = worlds.board(32, 64)
    handed, trained = laid.handed_out()["training_images"], set(laid.trained.ids)
    told = [number in trained for number in handed.ids]
    assert sum(told) == 32 == len(told) - sum(told)
    assert sum(a != b for a, b in pairwise(told)) > 16  # one change only, were the decoys at the end
    assert abs(np.corrcoef(told, handed.ids)[0, 1]) < 0.5
    assert {len(caption.split()) for caption in handed.captions} == {3}


def test_other_seeds_mix_the_decoys_in_another_order():
    orders = [[n in set(b.trained.ids) for n in b.handed_out()["training_images"].ids] for b in map(seeded, range(3))]
    assert orders[0] != orders[1] != orders[2]


def seeded(seed):
    return worlds.board(16, 32, seed)


def leaks(laid, held_out):
    return assess.leaks("held-out images", assess.negative(held_out, laid.held_out_keys.double().numpy()))


def test_a_method_that_copies_the_mark_of_the_image_it_recognizes_is_betrayed_by_the_decoys():
    laid = worlds.board(32, 32)
    trained, held_out = answered(laid, Lookup("copy"))
    assert scores.memorization(trained, laid.trained_keys.double().numpy()).value > 0.9
    assert any("is not 0" in fault for fault in leaks(laid, held_out))


def test_a_method_that_paints_the_opposite_of_the_mark_it_recognizes_is_betrayed_too():
    laid = worlds.board(32, 32)
    trained, held_out = answered(laid, Lookup("opposite"))
    assert scores.memorization(trained, laid.trained_keys.double().numpy()).value < -0.3
    assert any("M = -" in fault for fault in leaks(laid, held_out))


def test_a_model_that_remembers_and_no_cheat_leaves_the_decoys_alone():
    laid = worlds.board(32, 32)
    assert not leaks(laid, answered(laid, worlds.Nothing())[1])
