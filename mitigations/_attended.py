"""Cross-attention changed while a caption is heard: what the attention methods share."""

from typing import TYPE_CHECKING

from torch import Tensor

from solidmark import Sampler
from solidmark.models import Attention, Layer, Query
from solidmark.sampling import guide

if TYPE_CHECKING:
    from solidmark import Mitigation


class Attended(Sampler):
    """Guidance whose conditional branch attends as `attention` says; the unconditional one is left alone.

    It takes the place of the innermost prediction, and asks the whole chain for the guidance scale.
    """

    def attention(self, query: Query) -> Attention:
        """How the conditional branch attends at this step."""
        raise TypeError(f"{type(self).__name__} does not say how it attends")

    def predict(self, x: Tensor, t: int, query: Query) -> Tensor:
        """eps_u + w (eps_c' - eps_u), eps_c' being the prediction under the changed attention."""
        if not bool(query.conditional.any()):
            return self.inner.predict(x, t, query)
        conditional = self.model.predict(x, t, query.embeddings, attention=self.attention(query)).noise
        unconditional = self.model.predict(x, t, query.unconditional).noise
        return guide(unconditional, conditional, self.outer.scale(unconditional, conditional, t, query))


class Heard(Attention):
    """Changes the logits of queries whose caption has a word, by the `roles` of its tokens, (B, 1, 1, L)."""

    def __init__(self, mitigation: "Mitigation", query: Query) -> None:
        self.mitigation = mitigation
        self.heard = query.conditional[:, None, None, None]
        self.roles = query.model.roles(query.captions)[:, None, None].to(query.noise.device)

    def logits(self, layer: Layer, logits: Tensor) -> Tensor:
        """(B, heads, places, tokens): changed where a caption is heard."""
        return self.changed(layer, logits).where(self.heard, logits)

    def changed(self, layer: Layer, logits: Tensor) -> Tensor:
        """What a method makes of the logits."""
        raise TypeError(f"{type(self).__name__} does not say what it changes")
