"""Why `amg` leaves less where all latents are renewed: renewals taken apart, and how far its pushes reach.

    python design/latent_renewal.py 0 [WAY ...]   # two tables in Markdown; models come from the store, or are trained

Between steps the observed latents are encoded anew, and, as published, the masked ones replaced as well, by x0 after the
autoencoder and new noise. Here they are also replaced in part: by x0 with new noise but without the autoencoder, by the
autoencoder alone under the noise that they have, and by the x0 that the step would have had without the push.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import torch
from solidmark.mitigations.amg import AntiMemorization, RepellingSampler
from torch import Tensor

from solidmark import plugins
from solidmark.api import SamplingBatch
from solidmark.measurement import answers, weights
from solidmark.measurement.case import Case, Workspace
from solidmark.metrics import scoring
from solidmark.mitigation import Sampler
from solidmark.mitigation.composition import Composition, Part
from solidmark.queries.outpaint import Outpaint
from solidmark.store import Store, default_root

TESTBED = "latent-digits-quick"
WAYS = {
    "observed": "observed alone",
    "all": "all, as published",
    "noised": "masked ones x0 with new noise, no autoencoder",
    "unpushed": "the same of x0 without the push",
    "encoded": "masked ones through the autoencoder, noise as it is",
    "restarted": "all, of x0 without the push",
}

PUSHES: dict[str, dict[int, list[Tensor]]] = {way: {} for way in WAYS}
"""How far x0 was pushed in masked latents, of its own length, (B,) a batch, by way and timestep."""


@dataclass(frozen=True)
class Watched(AntiMemorization):
    """`amg` with a renewal of its own for the masked latents, which notes its pushes."""

    way: str = "observed"

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that notes what it pushes."""
        return WatchingSampler(self, inner)


class WatchingSampler(RepellingSampler):
    """Keeps the push of a step, and renews the masked latents after every fourth, as the solver does with all of them."""

    mitigation: Watched

    def predict(self, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """The pushed prediction."""
        pushed = super().predict(x, t, batch)
        unconditional, conditional, scale = self.branches
        plain = unconditional + scale * (conditional - unconditional)
        schedule, mask = self.model.schedule, batch.mask.float()
        self.moved = -schedule.sigma(t) / schedule.alpha(t) * (pushed - plain)  # of x0
        x0 = (x - schedule.sigma(t) * plain) / schedule.alpha(t)
        lengths = [(one * mask).flatten(1).norm(dim=1) for one in (self.moved, x0)]
        PUSHES[self.mitigation.way].setdefault(t, []).append(lengths[0] / lengths[1])
        return pushed

    def after(self, x: Tensor, x0: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """The sample with its masked latents renewed."""
        x = self.inner.after(x, x0, t, batch)
        to, way, schedule = batch.target(t), self.mitigation.way, self.model.schedule
        if way in ("observed", "all") or to < 0 or (batch.times.index(t) + 1) % batch.reencode:
            return x
        clean = x0 - self.moved if way in ("unpushed", "restarted") else x0
        if way in ("encoded", "restarted"):
            clean = self.model.encode(torch.where(batch.shown, batch.pixels, self.model.decode(clean)))
        if way == "encoded":
            return x + schedule.alpha(to) * (clean - x0)
        return schedule.add_noise(clean, torch.randn(x.shape, generator=self.rng), to)


def ask(way: str, seed: int) -> tuple[float, int]:
    """M of the trained images of a seed under a way to renew, and how many are certified."""
    testbed = plugins.testbed(TESTBED)[1]
    solver = replace(testbed.solvers["fast"], renew_all=way == "all")
    watched = Watched(way=way)
    case = Case(TESTBED, testbed, Composition((Part("amg", watched),)), seed, (("outpaint", Outpaint()),), solver)
    workspace = Workspace(Store(default_root()))
    model, _ = weights.train_or_load(case, workspace)
    found = answers.ask_query(case, "outpaint", model, workspace)
    keys, held_out = case.truth.trained_keys.double().numpy(), case.truth.held_out_keys.double().numpy()
    scores = scoring.query(found.trained, keys, found.held_out, held_out, seed, 0.0)
    return scores["memorization"]["value"], scores["certified"]["count"]


def main(span: str, *ways: str) -> None:
    """Print the tables: M by way and seed, and the pushes of x0 by timestep."""
    torch.set_num_threads(1)
    first, _, last = span.partition("-")
    seeds, chosen = range(int(first), int(last or first) + 1), ways or tuple(WAYS)
    print(
        f"| masked latents | {' | '.join(f'seed {seed}' for seed in seeds)} |", "|" + " --- |" * (1 + len(seeds)), sep="\n"
    )
    for way in chosen:
        found = [ask(way, seed) for seed in seeds]
        print(f"| {WAYS[way]} | {' | '.join(f'{m:.3f} ({count})' for m, count in found)} |", flush=True)
    times = sorted(PUSHES[chosen[0]], reverse=True)
    print(f"\n| push of x0, of its length | {' | '.join(map(str, times))} |", "|" + " --- |" * (1 + len(times)), sep="\n")
    for way in chosen:
        means = [float(torch.cat(PUSHES[way][t]).mean()) for t in times]
        print(f"| {WAYS[way]} | {' | '.join(f'{mean:.2f}' for mean in means)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
