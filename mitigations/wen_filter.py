"""Training-time filtering: leave out the samples whose caption changes the prediction too much."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solidmark import Mitigation, Needs, Trainer
from solidmark.models import Batch, Prediction


@dataclass(frozen=True)
class CaptionFilter(Mitigation):
    """Drop a sample where the caption moves the noise prediction by `threshold` or more.

    keep_i = rms(eps(x_t, t, e) - eps(x_t, t, 0)) < threshold, the second without gradient; the loss is the mean over
    those kept, and a step with none is skipped. Published: a norm below 2 on latents of 16,384 numbers, a root mean
    square of 0.016, in fine-tuning, where a caption that is not memorized moves little. A model that is trained from
    scratch has to learn its captions by such moves, which are 0.25 at the median and 0.42 at the ninetieth percentile at
    the end of a training on digits: the default lies below the median. It costs one more evaluation forward a sample.
    """

    threshold: float = 0.2

    needs = Needs.CAPTIONS
    reference = "Detecting, Explaining, and Mitigating Memorization in Diffusion Models, arXiv 2407.21720"
    stream = "solidmark.mitigations.wen_filter.CaptionFilter"
    claims = ("At equal similarity of text and image it leaves less memorization than adding random tokens.",)

    def __post_init__(self) -> None:
        self.expect(0 < self.threshold < float("inf"), "threshold", "a finite positive number")

    def trainer(self, inner: Trainer) -> Trainer:
        """A link that looks at both predictions."""
        return Filtered(self, inner)

    def strengths(self) -> "list[CaptionFilter]":
        """Lower and lower thresholds."""
        return [CaptionFilter(threshold) for threshold in (0.4, 0.2, 0.1, 0.05)]


class Filtered(Trainer):
    """Measures how far the caption moves each sample, and gives those moved too far an exact 0."""

    mitigation: CaptionFilter

    def predict(self, x: Tensor, t: Tensor, batch: Batch) -> Prediction:
        """The inner prediction; how far it is from that without caption is kept in `moved`, (B,)."""
        conditional = self.inner.predict(x, t, batch)
        with torch.no_grad():
            null = self.model.embed([""] * len(x))
            unconditional = self.inner.predict(x, t, replace(batch, embeddings=null))
            self.moved = (conditional.noise - unconditional.noise).square().flatten(1).mean(dim=1).sqrt()
        return conditional

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """The inner losses, those of samples that were moved too far zero."""
        losses = self.inner.losses(batch, t)  # which asks `predict`
        return losses * (self.moved < self.mitigation.threshold)
