"""Claims of the DoRI paper: a search for embeddings brings back images that an edit of the weights had removed."""

from solidmark import Claim

from ._origins import ATTACKED

DORI = "Finding Dori: Memorization in Text-to-Image Diffusion Models Is Not Local, arXiv 2507.16880"


def dori_claim(text: str, above: float, **parameters: object) -> Claim:
    """The claim that a search for embeddings recovers more than the caption does: a difference of M above `above`.

    It applies where the caption recovers less than half. What was not removed cannot come back.
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
        origin=ATTACKED,
        source=DORI,
    )
