"""The tables of content.md: `python design/content.py simulated|splits|null|draws|apart|freed FOLDER`.

`null`, `draws` and `apart` read what `design/content_answers.py FOLDER` has asked; all others ask nothing or little.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from content_answers import HONEST, WASHERS, composition
from numpy.typing import NDArray

from solidmark import marks, plugins, queries
from solidmark.errors import SolidmarkError
from solidmark.measurement import answers, content, distances, weights
from solidmark.measurement.case import Case, Workspace
from solidmark.measurement.content import Content
from solidmark.measurement.responses import Responses
from solidmark.metrics import content as exact
from solidmark.metrics import patches, permutation, scores
from solidmark.metrics.controls import Marks
from solidmark.metrics.distances import Distance, Surroundings
from solidmark.metrics.features import judge_features
from solidmark.models import Evaluations
from solidmark.queries.outpaint import Outpaint
from solidmark.store import Store, default_root
from solidmark.testbed import _balanced, _distinct

Array = NDArray[np.float64]

TRAINED, HELD_OUT = 64, 256
BOARDS = 500


def installed() -> dict[str, Distance]:
    """All distances that need no weights."""
    group = plugins.GROUPS["distance"]
    names = [plugin.name for plugin in plugins.discover(group) if plugin.name != "sscd"]
    return {name: plugins.instance(group, "distance", name) for name in names}


def heading(*columns: str) -> None:
    """The first two lines of a table."""
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))


Board = tuple[Array, Array, Array, Array]
"""Scores of trained images that are not remembered, with those of held-out images; of trained images of which the first half
is remembered, with those of held-out images."""


def told(name: str, boards: Iterable[Board]) -> None:
    """A line: what is found where nothing, and where half, is remembered."""
    p, sets, any_found, false, power = [], [], [], [], []
    for null, held_out, mixed, beside in boards:
        p.append(exact.conformal_p(null, held_out))
        sets.append(permutation.rank_sum_p(null, held_out) <= 0.05)
        any_found.append(exact.certified(p[-1]).any())
        found, half = exact.certified(exact.conformal_p(mixed, beside)), len(mixed) // 2
        false.append(found[half:].sum() / max(found.sum(), 1))
        power.append(found[:half].mean())
    every = np.concatenate(p)
    numbers = [every.mean(), (every <= 0.05).mean(), (every <= 0.01).mean(), *map(np.mean, (sets, any_found, false, power))]
    print(f"| {name} | " + " | ".join(f"{number:.3f}" for number in numbers) + " |", flush=True)


LINE = ("score", "mean p", "P[p ≤ 0.05]", "P[p ≤ 0.01]", "p of the whole ≤ 0.05", "any certificate", "false share", "found")


def simulated(folder: Path) -> None:
    """Pictures that have nothing to do with the images, but for half of the trained ones in the last two columns."""
    heading(*LINE)
    for name, distance in installed().items():
        for which, score in (("own", np.diag), ("any", lambda apart: apart.min(axis=0))):
            told(f"{name}, {which}", (_world(seed, distance, score) for seed in range(100)))


def _world(seed: int, distance: Distance, score: Callable[[Array], Array]) -> Board:
    rng, count = np.random.default_rng(seed), 32
    real, pictures, spare = (rng.uniform(size=(number, 1, 8, 8)) for number in (count + 192, count + 192, 120))
    around = Surroundings(spare, lambda images: images.reshape(len(images), -1)[:, :40])
    half = pictures.copy()
    half[: count // 2] = (real[: count // 2] + 0.03 * rng.normal(size=(count // 2, 1, 8, 8))).clip(0, 1)
    null, mixed = (np.asarray(score(distance.between(each, real, around))) for each in (pictures, half))
    return null[:count], null[count:], mixed[:count], mixed[count:]


def splits(folder: Path) -> None:
    """Held-out images against held-out ones: 200 re-splits, 64 to 192, of each of 20 rows of pictures that copy others."""
    found: dict[str, list[list[float]]] = {"own": [], "any": [], "tiles, 64 to 192": [], "tiles, the control": []}
    certificates, count = 0, 256
    for row in range(20):
        rng = np.random.default_rng(row)
        real, noise, spare = (rng.uniform(size=(number, 1, 8, 8)).round(1) for number in (count, count, 120))
        pictures = np.where(rng.uniform(size=(count, 1, 1, 1)) < row / 20, spare[rng.integers(120, size=count)], noise)
        for images in (real, pictures, spare):
            images[..., :3] = 0.0  # black edges, where all tie
        apart = exact.ratios(*(images.reshape(len(images), -1) for images in (pictures + 1e-9 * noise, real, spare)))
        of_images = {"own": np.diag(apart), "any": apart.min(axis=0)}
        tiles = patches.tile_scores(pictures, real, spare)
        shares: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(200):
            order = rng.permutation(count)
            for name, scored in of_images.items():
                p = exact.conformal_p(scored[order[:64]], scored[order[64:]])
                shares[name].append(float((p <= 0.05).mean()))
                certificates += bool(exact.certified(p).any())
            shown = patches.memory_map(tiles[order[:64]], tiles[order[64:]], rng)
            shares["tiles, 64 to 192"].append(shown.trained.value)
            shares["tiles, the control"].append(shown.held_out.value)
        for name, values in shares.items():
            found[name].append(values)
    heading("score", "share of p ≤ 0.05, mean", "least and largest mean of a row", "spread between splits")
    for name, rows in found.items():
        means = np.mean(rows, axis=1)
        print(
            f"| {name} | {np.mean(rows):.4f} | {means.min():.3f} to {means.max():.3f} | {np.std(rows, axis=1).mean():.3f} |"
        )
    print(f"{certificates} of {20 * 200 * 2} with a certificate")


def null(folder: Path) -> None:
    """A model that was trained on other images, and boards drawn as a testbed draws them."""
    found, (_, testbed) = dict(np.load(folder / "null.npz")), plugins.testbed("digits")
    judged = testbed._sizes(_distinct(testbed))[1]
    spare = _distinct(testbed).images[TRAINED:judged].double().numpy()
    real, pictures, outpainted = (_inside(found[name]) for name in ("images", "plain", "outpainted"))
    draws = [_board(found["labels"], np.random.default_rng(seed)) for seed in range(BOARDS)]
    heading(*LINE)
    blocks = patches.block_scores(outpainted, real, spare, _inside(found["freed"])[:, 0].astype(bool))
    told("block", ((blocks[t], blocks[h], blocks[m], blocks[h]) for t, h, m in draws))
    around = Surroundings(spare, judge_features(testbed.judge()))
    for name, distance in installed().items():
        apart = distance.between(pictures.clip(0, 1), real, around)
        own = np.diag(apart)
        told(f"{name}, own", ((own[t], own[h], own[m], own[h]) for t, h, m in draws))
        told(f"{name}, any", (_any(apart, *draw) for draw in draws))


def _inside(images: Array) -> Array:
    return np.asarray(images, dtype=np.float64)[..., 2:-2, 2:-2]


def _board(labels: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Rows of 64 images that nobody trained on, of held-out ones, and of 32 that were trained on with 32 that were not."""
    order = rng.permutation(np.arange(TRAINED, len(labels)))
    trained = _balanced(labels[order], TRAINED, order)
    held_out = order[~np.isin(order, trained)][:HELD_OUT]
    mixed = np.concatenate([rng.permutation(TRAINED)[: TRAINED // 2], trained[: TRAINED // 2]])
    return trained, held_out, mixed


def draws(folder: Path) -> None:
    """Where trained images are drawn class by class in turn, as a testbed does, and where they are drawn as they come."""
    found, (_, testbed) = dict(np.load(folder / "null.npz")), plugins.testbed("digits")
    judged = testbed._sizes(_distinct(testbed))[1]
    spare = _distinct(testbed).images[TRAINED:judged].double().numpy()
    real, pictures = (_inside(found[name]) for name in ("images", "plain"))
    flat = (each.reshape(len(each), -1) for each in (pictures.clip(0, 1), real, spare))
    apart, labels = exact.ratios(*flat), found["labels"]
    heading("draw", "score", "mean p", "P[p ≤ 0.05]", "p of the whole ≤ 0.05")
    for name, draw in (("class by class", _board), ("as they come", _plain_board)):
        for which, score in (("own", np.diag), ("any", lambda each: each.min(axis=0))):
            p, sets = [], []
            for seed in range(10_000, 12_000):
                trained, held_out, *_ = draw(labels, np.random.default_rng(seed))
                asked = np.concatenate([trained, held_out])
                each = score(apart[np.ix_(asked, asked)])
                p.append(exact.conformal_p(each[:TRAINED], each[TRAINED:]))
                sets.append(permutation.rank_sum_p(each[:TRAINED], each[TRAINED:]) <= 0.05)
            print(
                f"| {name} | {which} | {np.mean(p):.4f} | {(np.array(p) <= 0.05).mean():.4f} | {np.mean(sets):.4f} |",
                flush=True,
            )


def _plain_board(labels: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    order = rng.permutation(np.arange(TRAINED, len(labels)))
    return order[:TRAINED], order[TRAINED : TRAINED + HELD_OUT]


def _any(apart: Array, trained: NDArray[np.int64], held_out: NDArray[np.int64], mixed: NDArray[np.int64]) -> Board:
    """Least distances to the pictures that each board's captions gave."""
    found: list[Array] = []
    for chosen in (trained, mixed):
        asked = np.concatenate([chosen, held_out])
        least = apart[np.ix_(asked, asked)].min(axis=0)
        found += [least[: len(chosen)], least[len(chosen) :]]
    return found[0], found[1], found[2], found[3]


COLUMNS = "row, seed, M, by caption, by content, own, any, block, shift own, tiles, M of the certified, fault"


def apart(folder: Path) -> None:
    """Fraud and honest rows on seeds that nobody had looked at: a line for each row and seed."""
    heading(*COLUMNS.split(", "))
    for row in (*WASHERS, *HONEST):
        for path in sorted(folder.glob("*.npz")):
            name, _, seed = path.stem.rpartition("-")
            if name == row:
                _line(row, int(seed), folder)


def _line(row: str, seed: int, folder: Path) -> None:
    name, testbed = plugins.testbed("digits")
    case = Case(name, testbed, composition(row), seed, (("outpaint", Outpaint()),))
    (lead, plain), (baseline, _) = (_responses(folder / f"{each}-{seed}.npz") for each in (row, "none"))
    found, truth = content.measure_content(case, plain, {"outpaint": lead}), case.truth
    assert found is not None
    keys = truth.trained_keys.double().numpy()
    asked = (lead.keys, plain.keys, _by_content(found, plain, case))
    recalled = [scores.memorization(each[:TRAINED], keys).value for each in asked]
    shift = distances.measure_distances(found.views, judge_features(testbed.judge()), seed)["shift"].own
    cells = [*(f"{number:.2f}" for number in recalled), *map(_cell, (found.own, found.any, found.block, shift))]
    cells += [f"{found.map.trained.value:.2f} : {found.map.held_out.value:.2f}", _of_certified(found, lead, baseline, keys)]
    cells += ["yes" if content.faults(content.washing(case, found, truth, lead, baseline)) else "no"]
    print(f"| {row} | {seed} | " + " | ".join(cells) + " |", flush=True)


def _of_certified(found: Content, lead: Responses, baseline: Responses, keys: Array) -> str:
    """How many are certified by content, M of these, and its upper limit over the baseline's M."""
    rows = np.flatnonzero(found.certified)
    if len(rows) < 3:
        return f"{len(rows)}"
    memory, first = scores.memorization(lead.trained[rows], keys[rows]), scores.memorization(baseline.trained, keys)
    return f"{len(rows)}: {memory.value:.2f}, at most {memory.limits[1] / first.value:.2f} of the baseline's"


def _by_content(found: Content, plain: Responses, case: Case) -> Array:
    """Keys read from the picture that is nearest to each image, as the query by-content reads them."""
    shown, real = (each.reshape(len(each), -1) for each in (found.views.pictures, found.views.images))
    assert plain.images is not None
    return marks.read(case.truth.mark, plain.images).double().numpy()[exact.ratios(shown, real, real).argmin(axis=0)]


def _cell(score: exact.ContentScore | None) -> str:
    if score is None:
        return "-"
    low, high = score.auroc.limits
    return f"{score.auroc.value:.2f} [{low:.2f}, {high:.2f}], {score.certified.count}"


def _responses(path: Path) -> tuple[Responses, Responses]:
    """What was answered to outpainting and to plain generation."""
    found = dict(np.load(path))

    def responses(kind: str) -> Responses:
        images = torch.from_numpy(found[kind])
        return Responses(found[f"{kind}_keys"], TRAINED, Marks(0.0, 0.0, None), Evaluations(), 0.0, images)

    return responses("outpainted"), responses("plain")


FREED = ("none", "rna", "gni(scale=1.0)", "amg")


def freed(folder: Path) -> None:
    """What larger blocks beside the mark do to M and to the block's own score, on `digits-quick`, seed 0."""
    heading("row", "side", "M", "certified", "held-out M", "block: AUROC, certified")
    workspace, side = Workspace(Store(default_root())), queries.DECOY
    name, testbed = plugins.testbed("digits-quick")
    for row in FREED:
        case = Case(name, testbed, plugins.compose(row), 0, (("outpaint", Outpaint()),))
        model, _ = weights.edit_or_load(case, workspace)
        plain = answers.ask_plainly(case, model, workspace)
        for queries.DECOY in (2, 4, 6):
            lead, truth = answers.ask_query(case, "outpaint", model, workspace), case.truth
            found = content.measure_content(case, plain, {"outpaint": lead})
            keys, held_out = (each.double().numpy() for each in (truth.trained_keys, truth.held_out_keys))
            m, chance = scores.memorization(lead.trained, keys), scores.memorization(lead.held_out, held_out)
            count = scores.certified_share(scores.combine(scores.p_values(lead.trained, keys))).count
            low, high = m.limits
            block = _cell(found.block if found is not None else None)
            print(f"| {row} | {queries.DECOY} | {m.value:.3f} [{low:.3f}, {high:.3f}] | {count} | "
                  f"{chance.value:.3f} | {block} |", flush=True)  # fmt: skip
    queries.DECOY = side


def main() -> None:
    """One table."""
    torch.set_num_threads(1)
    tables = {"simulated": simulated, "splits": splits, "null": null, "draws": draws, "apart": apart, "freed": freed}
    if len(sys.argv) != 3 or sys.argv[1] not in tables:
        sys.exit(str(__doc__))
    try:
        tables[sys.argv[1]](Path(sys.argv[2]))
    except SolidmarkError as cause:
        sys.exit(str(cause))


if __name__ == "__main__":
    main()
