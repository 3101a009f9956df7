"""The latent space: what holds in pixels holds there too, and the handle is the diffusers pipeline."""

import copy
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import worlds
from test_sampling import wrapping

from solidmark import marks, models
from solidmark.data import COMMON_WORDS, Examples
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.marks import Border
from solidmark.metrics import scores
from solidmark.models import Autoencoder, LatentNetwork, LatentSpace, Network, autoencoder
from solidmark.models import space as spaces
from solidmark.models.autoencoder import read_back, train_autoencoder
from solidmark.models.latent import build_tokenizer
from solidmark.models.memorizer import Memorizer
from solidmark.queries import Audit, decoy
from solidmark.sampling import Service, SolverConfig, noises
from solidmark.seeds import torch_rng

NETWORK = LatentNetwork(
    size=16, widths=(8, 16), text_width=8, words=8, classes=("one", "two"), autoencoder_widths=(8, 16, 16)
)
MARK = Border(4, 4)
SOLVER = SolverConfig(steps=5, reencode=2)
CAPTIONS = ["one w1", "two w2", "one w3"]


def pictures(count, rng=0):
    return torch.rand((count, 1, 8, 8), generator=torch_rng(rng, "pictures"))


@pytest.fixture(scope="module")
def space():
    recipe = Autoencoder(train_steps=150, learning_rate=5e-3)
    return train_autoencoder(recipe, NETWORK, pictures(200), MARK, torch_rng(0, "space"))


@pytest.fixture
def latent(space):
    model = models.build(NETWORK, torch_rng(0, "model"))
    model.space = space
    return model.frozen()


def ask(model, observed, mask, solver=SOLVER, composition=None, ids=range(3)):
    noise = noises(list(ids), model.shape, solver.draws, 0, "test")
    return Service(model, composition or worlds.composed(), 0).sample(
        CAPTIONS[: len(observed)], observed, mask, noise, solver
    )


def masked(count=3):
    return MARK.masks(16, 16).any(dim=0).expand(count, 1, 16, 16)


def test_the_shape_of_x_is_that_of_the_latents(latent):
    assert latent.shape == tuple(latent.encode(torch.rand(2, 1, 16, 16)).shape[1:]) == (4, 4, 4)


def test_an_image_is_encoded_once_however_often_it_is_asked_for(latent):
    images = torch.rand(3, 1, 16, 16)
    first, again = latent.encode(images), latent.encode(images.flip(0))
    assert torch.equal(first, again.flip(0))
    assert latent.evaluations.encoded == 3


def test_an_encoding_does_not_depend_on_what_was_encoded_before(space):
    images, twin = torch.rand(20, 1, 16, 16), copy.deepcopy(space)
    twin.load_state(twin.state())  # which forgets all encodings
    alone = torch.cat([twin.encode(images[[index]]) for index in reversed(range(20))]).flip(0)
    assert torch.equal(alone, space.encode(images))


def test_the_images_of_a_training_are_encoded_once_however_many_they_are(latent, monkeypatch):
    monkeypatch.setattr(spaces, "REMEMBERED", 4)
    images, counts = torch.rand(9, 1, 16, 16), []
    for trained in (0, 9):
        space = LatentSpace(latent.space.autoencoder, 4)
        space.expect(trained)
        assert torch.equal(space.encode(images), space.encode(images))
        counts.append(space.encoded)
    assert counts == [9 + 5, 9]


def test_encoding_and_decoding_are_counted(latent):
    ask(latent, torch.rand(3, 1, 16, 16), masked())
    assert (latent.evaluations.encoded, latent.evaluations.decoded) == (3 + 2 * 3, 2 * 3 + 3)


def test_plain_generation_which_observes_nothing_encodes_nothing_anew(latent):
    observed, everything = torch.rand(3, 1, 16, 16), torch.ones(3, 1, 16, 16, dtype=torch.bool)
    images = [ask(latent, observed, everything, SolverConfig(steps=5, reencode=every)) for every in (0, 2)]
    assert images[0].equal(images[1])
    assert (latent.evaluations.encoded, latent.evaluations.decoded) == (3, 2 * 3)
    published = SolverConfig(steps=5, reencode=2, renew_all=True)
    assert not images[0].equal(ask(latent, observed, everything, published))


def test_a_cell_that_is_mark_in_part_is_masked(latent):
    pixels = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    pixels[..., 5, 9] = True
    assert latent.cells(pixels).nonzero().tolist() == [[0, 0, 1, 2]]


def test_observed_pixels_come_out_as_they_went_in(latent):
    observed, mask = torch.rand(3, 1, 16, 16), masked()
    out = ask(latent, observed, mask)
    assert torch.equal(out[~mask], observed[~mask])
    assert not torch.allclose(out[mask], observed[mask], atol=1e-2)


def test_renewal_never_touches_masked_cells(latent):
    """Seen by the `after` of a wrapper, which gets the sample before anything is put back."""
    seen = {0: [], 2: []}
    for every, samples in seen.items():
        note = wrapping(after=lambda self, x, x0, t, batch, samples=samples: samples.append(x) or x)
        ask(
            latent,
            torch.rand(3, 1, 16, 16, generator=torch_rng(1, "x")),
            masked(),
            SolverConfig(steps=5, reencode=every),
            worlds.composed(note),
        )
    cells = latent.cells(masked())
    until_renewed = [torch.equal(a, b) for a, b in zip(seen[0], seen[2], strict=True)]
    assert until_renewed == [True, True, False, False, False]
    assert cells.any()


def test_the_published_renewal_replaces_masked_cells_too(latent):
    observed = torch.rand(3, 1, 16, 16)
    known, every = (
        ask(latent, observed, masked(), SolverConfig(steps=5, reencode=2, renew_all=both)) for both in (False, True)
    )
    assert not torch.equal(known, every)


def test_a_refused_query_is_gray_after_decoding(latent):
    refuse = wrapping(prepare=lambda self, batch: replace(batch, refused=torch.ones(3, dtype=torch.bool)))
    assert ask(latent, torch.rand(3, 1, 16, 16), masked(), composition=worlds.composed(refuse)).eq(0.5).all()


def test_an_image_alone_equals_the_same_in_a_batch(latent):
    observed = torch.rand(3, 1, 16, 16)
    assert torch.allclose(ask(latent, observed, masked())[:1], ask(latent, observed[:1], masked(1), ids=[0]), atol=1e-4)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_plain_generation_equals_that_of_the_pipeline(latent, guidance):
    solver = SolverConfig(steps=6, eta=0.0, guidance=guidance)
    noise = noises(range(3), latent.shape, solver.draws, 0, "test")
    mask = torch.ones(3, 1, 16, 16, dtype=torch.bool)
    ours = Service(latent, worlds.composed(), 0).sample(CAPTIONS, torch.zeros(3, 1, 16, 16), mask, noise, solver)
    pipe = latent.pipeline()
    pipe.set_progress_bar_config(disable=True)
    given = {"latents": noise[:, 0], "guidance_scale": guidance, "num_inference_steps": 6, "output_type": "np"}
    theirs = torch.from_numpy(np.asarray(pipe(CAPTIONS, height=16, width=16, **given).images)).mean(dim=3, keepdim=True)
    assert (ours - theirs.permute(0, 3, 1, 2)).abs().max() < 1e-5


def test_the_pipeline_is_saved_as_a_folder_that_diffusers_loads(latent, tmp_path):
    from diffusers import DiffusionPipeline

    latent.pipeline().save_pretrained(tmp_path)
    again = DiffusionPipeline.from_pretrained(tmp_path)
    assert again.vae.config.scaling_factor == pytest.approx(latent.space.scale)
    assert all(torch.equal(a, b) for a, b in zip(again.unet.parameters(), latent.network.parameters(), strict=True))


def test_a_pixel_model_is_no_pipeline():
    with pytest.raises(NotApplicable, match="a model in pixel space"):
        worlds.model().pipeline()


def test_a_saved_model_comes_back_whole(latent, tmp_path):
    latent.save(tmp_path)
    again = models.load(tmp_path)
    assert (again.config, again.space.scale) == (latent.config, pytest.approx(latent.space.scale))
    assert all(torch.equal(tensor, again.state()[name]) for name, tensor in latent.state().items())


def test_a_copy_shares_the_autoencoder_and_nothing_else(latent):
    twin = latent.copy()
    assert twin.space is latent.space
    assert not {id(parameter) for parameter in twin.parameters()} & {id(parameter) for parameter in latent.parameters()}


def test_the_autoencoder_is_never_trained(latent):
    autoencoder = {id(parameter) for parameter in latent.space.autoencoder.parameters()}
    assert not autoencoder & {id(parameter) for parameter in latent.copy().parameters()}


def test_roles_are_those_of_the_tokens(latent):
    names = {models.START: "s", models.WORD: "w", models.END: "e", models.PADDING: "p"}
    rows = ["".join(names[role] for role in row) for row in latent.roles(["one w1", "", "one w777"]).tolist()]
    assert [row.rstrip("p") for row in rows] == ["swwe", "se", "swwwe"]  # a word of no vocabulary is several tokens


def test_a_random_network_behind_a_trained_autoencoder_knows_no_key(latent):
    keys = torch.rand(3, 4, generator=torch_rng(2, "keys"))
    answers = marks.read(MARK, ask(latent, marks.paint(MARK, MARK.canvas(pictures(3)), keys), masked()))
    assert np.abs(answers.numpy() - keys.numpy()).mean() > 0.15


def test_the_perfect_memorizer_finds_what_the_autoencoder_leaves(space):
    keys = torch.rand(12, 4, generator=torch_rng(3, "keys"))
    marked = marks.paint(MARK, MARK.canvas(pictures(12)), keys)
    examples = Examples(marked, [f"one w{number}" for number in range(12)], list(range(12)))
    model = Memorizer(examples, NETWORK, space)
    noise = noises(range(12), model.shape, SOLVER.draws, 0, "test")
    blank = MARK.canvas(pictures(12))
    found = marks.read(
        MARK, Service(model, worlds.composed(), 0).sample(examples.captions, blank, masked(12), noise, SOLVER)
    )
    ceiling = scores.memorization(read_back(space, MARK, marked).double().numpy(), keys.double().numpy())
    assert scores.memorization(found.double().numpy(), keys.double().numpy()).value > ceiling.value - 0.15


@pytest.mark.parametrize("wrong", [{"size": 18}, {"kind": "label"}])
def test_a_configuration_that_cannot_be_built_is_named(wrong):
    with pytest.raises(InvalidValue, match="divisible by 4"):
        LatentNetwork(**wrong)


def test_an_autoencoder_wants_a_latent_network():
    with pytest.raises(InvalidValue, match="a network in pixel space"):
        train_autoencoder(Autoencoder(), Network(), pictures(4), MARK, torch_rng(0, "x"))


@pytest.mark.parametrize("wrong", [{"train_steps": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"divergence": -1e-9}])
def test_a_recipe_out_of_range_is_refused(wrong):
    with pytest.raises(InvalidValue, match="Autoencoder"):
        Autoencoder(**wrong)


@pytest.mark.parametrize(
    ("step", "share"), [(0, 1 / 30), (14, 0.5 * (1 - 0.98 * 14 / 600)), (29, 1 - 0.98 * 29 / 600), (600, 0.02)]
)
def test_the_rate_of_an_autoencoder_rises_over_thirty_steps_and_falls_to_a_fiftieth(step, share):
    assert Autoencoder().rate(step) == pytest.approx(2e-3 * share)


@pytest.mark.parametrize("divergence", [0.0, 0.5])
def test_an_autoencoder_learns_the_mean_squared_error_and_a_little_of_the_divergence(divergence):
    drawn, kl = torch.rand(2, 1, 4, 4), torch.tensor([3.0, 5.0])
    posterior = SimpleNamespace(sample=lambda: drawn, kl=lambda: kl)
    plain = SimpleNamespace(
        encode=lambda pixels: SimpleNamespace(latent_dist=posterior), decode=lambda x: SimpleNamespace(sample=x)
    )
    pixels = torch.rand(2, 1, 4, 4)
    expected = ((drawn - pixels) ** 2).sum() / 32 + divergence * 4
    assert float(autoencoder._loss(plain, pixels, divergence)) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [("train_steps", 1, 0), ("batch", 1, 0), ("learning_rate", 5e-324, 0.0), ("divergence", 0.0, -1e-9)],
)
def test_an_autoencoder_is_accepted_at_the_ends_of_its_ranges(name, inside, outside):
    assert getattr(Autoencoder(**{name: inside}), name) == inside
    with pytest.raises(InvalidValue, match=rf"{name}="):
        Autoencoder(**{name: outside})


def test_without_transformers_a_latent_model_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(NotApplicable, match=r"pip install 'solidmark\[pipelines\]'"):
        models.build(NETWORK, torch_rng(0, "model"))


def test_words_that_methods_draw_are_one_token_each():
    tokens = build_tokenizer(NETWORK)(list(COMMON_WORDS)).input_ids
    assert {len(row) for row in tokens} == {3}  # begin, word, end
    assert len({row[1] for row in tokens}) == len(COMMON_WORDS)


def test_class_names_exchange_their_embeddings_in_a_copy_alone(latent):
    twin, before = latent.copy().frozen(), latent.embed(["one w1"])
    twin.text.exchange_classes([1, 0])
    assert torch.equal(twin.embed(["two w1"]), before)
    assert torch.equal(latent.embed(["one w1"]), before)


def test_a_decoy_is_one_cell_of_x_that_no_mark_touches():
    marked = MARK.masks(16, 16).any(dim=0)
    blocks = torch.stack([decoy(0, number, marked, cell=4) for number in range(40)])[:, None]
    cells = torch.nn.functional.max_pool2d(blocks.float(), 4).flatten(1).sum(dim=1)
    assert cells.tolist() == [1.0] * 40
    assert blocks.flatten(1).sum(dim=1).tolist() == [16] * 40
    assert not (blocks & marked).any()
    assert len({tuple(block.flatten().tolist()) for block in blocks}) == 4  # 8 x 8 pixels have four cells


def test_a_query_frees_one_cell_beside_the_mark(latent):
    examples = Examples(pictures(3), CAPTIONS, [0, 1, 2])
    blank, service = examples.with_images(MARK.canvas(examples.images)), Service(latent, worlds.composed(), 0)
    audit = Audit(blank, MARK, SOLVER, service, 0, "x")
    assert (latent.cells(audit.mask) & ~latent.cells(masked())).flatten(1).sum(dim=1).tolist() == [1, 1, 1]
