"""Bands of time and frequency: gradient ascent on the forgotten images in a band of timesteps and of spatial frequency."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Model, NoisedBatch

from ._origins import EDITED
from ._replay import minimize_in_parts


@dataclass(frozen=True)
class TimeFrequencyAscent(Mitigation):
    """Raise the denoising loss of the forget list where it matters: at t in [`low`, `high`) of the schedule, and in errors
    whose spatial frequency is at most `cutoff` of the highest one (1 is all):

        L(θ) = -E_t in band ‖P(target - output_θ(x_t, t))‖²,    P a projection on low frequencies, by Fourier transform

    Published as a choice of band for gradient ascent, for subtracted scores (`siss`) and for preference losses: forgetting
    is uneven over time and frequency, and in the right band it succeeds more often and costs less quality. Abstracts and
    reviews were read, the paper's text was not, so which bands they use, how errors are filtered, and all numbers are ours.
    Here it is ascent alone, `neggrad` in a band, but that timesteps are uniform in it and no caption is dropped. A text
    encoder that the training trained is trained here, too. In latent space frequencies are those of the latent's cells: the
    highest one is a wave of two cells, 16 pixels in Stable Diffusion, and what lies within a cell is not filtered; there the
    same band of steps has other noise. The default band is what an experiment of this suite found on digits: the key sits at
    low noise (`benchmark/validity/bands.py`). Cost: `updates` batches forward and backward.
    """

    updates: int = 60
    low: float = 0.0
    high: float = 0.4
    cutoff: float = 0.5
    rate: float = 0.01
    batch: int = 32

    needs = Needs.FORGET
    fidelity = "unverified"
    stream = "solidmark.mitigations.time_frequency.TimeFrequencyAscent"
    reference = "Not Every Time and Frequency Need to Be Forgotten in Diffusion Unlearning, arXiv 2510.17917"
    claims = (
        Claim(
            "In its band it unlearns more than ascent at all times and frequencies.",
            "difference",
            below=0.0,
            against="neggrad",
            origin=EDITED,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 <= self.low < 1, "low", "a number in [0, 1)")
        self.expect(self.low < self.high <= 1, "high", "a number above low and up to 1")
        self.expect(0 <= self.cutoff <= 1, "cutoff", "a number in [0, 1]")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after the ascent."""

        def loss(count: int) -> Tensor:
            batch = self._draw(model, data, rng, count)
            prediction = batch.predict(model)
            target = prediction.target(batch.clean, batch.noise)
            return -low_frequencies(prediction.output - target, self.cutoff).square().mean()

        return minimize_in_parts(model, loss, self.batch, data.recipe, self.updates, self.rate * data.recipe.full_rate)

    def _draw(self, model: Model, data: Data, rng: Generator, count: int) -> NoisedBatch:
        """`count` samples of the forget list with timesteps of the band, one at least."""
        steps = model.schedule.steps
        first = min(round(self.low * steps), steps - 1)
        last = max(round(self.high * steps), first + 1)
        examples = data.forget.take(torch.randint(len(data.forget), (count,), generator=rng))
        clean = model.encode(examples.images)
        noise = torch.randn(clean.shape, generator=rng).to(clean.device)
        t = torch.randint(first, last, (count,), generator=rng).to(clean.device)
        return NoisedBatch(model.schedule.add_noise(clean, noise, t), t, clean, noise, examples.captions)

    def settings(self) -> "list[TimeFrequencyAscent]":
        """The sweep, weakest first: more and more updates."""
        return [TimeFrequencyAscent(updates) for updates in (15, 60, 120, 240)]


def low_frequencies(errors: Tensor, cutoff: float) -> Tensor:
    """The part of errors, (B, C, H, W), whose frequency along each side is at most `cutoff` of the highest one."""
    spectrum = torch.fft.fft2(errors)
    kept = [torch.fft.fftfreq(side).abs() <= cutoff / 2 for side in errors.shape[2:]]
    passed: Tensor = torch.fft.ifft2(spectrum * (kept[0][:, None] & kept[1]).to(errors.device)).real
    return passed
