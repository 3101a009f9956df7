"""Claims of the paper that searched for embeddings which bring back what an edit of the weights had taken away."""

from solidmark import Claim

DORI = "Finding Dori: Memorization in Text-to-Image Diffusion Models Is Not Local, arXiv 2507.16880"


def brought_back(text: str, above: float, **parameters: object) -> Claim:
    """That an embedding which is searched for finds more than the caption does, by at least so much of M.

    It speaks where the caption finds less than half: what was not taken away cannot come back.
    """
    return Claim(
        text,
        "difference",
        above=above,
        parameters=parameters,
        against="",
        query="embedding",
        against_query="outpaint",
        premise=0.5,
        source=DORI,
    )
