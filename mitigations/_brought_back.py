"""Claims of the paper that searched for embeddings which bring back what an edit of the weights had taken away."""

from solidmark import Claim

DORI = "Finding Dori: Memorization in Text-to-Image Diffusion Models Is Not Local, arXiv 2507.16880"


def brought_back(text: str, above: float) -> Claim:
    """That an embedding which is searched for finds more than the caption does, by at least so much of M."""
    return Claim(text, "difference", above=above, against="", query="embedding", against_query="outpaint", source=DORI)
