"""Columns of memorization: the leading query, the worst case over queries, every other query, and the controls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solidmark.leaderboard import NO_CLAIM, NO_REFUSAL, NO_SPACE, NO_WORST, Leaderboard, Row

from .table import BOUND, CLAIMED, COUNT, FOUR, NUMBER, ONE, PERCENT, PLAIN, REFUSED, SHARE, THREE, TWO, Column


def main(board: Leaderboard) -> list[Column[Row]]:
    """The leading query, each column followed by the same of the worst case over queries, where several were asked."""
    several = any(row.worst is not None and row.worst.queries > 1 for row in board.rows)
    starred = any(row.worst is not None for row in board.rows)
    memorization, certified, epsilon, auroc = _leading()
    claim = [_claimed()] if any(row.reported is not None and row.reported.claimed for row in board.rows) else []
    if not starred:
        return [memorization, certified, epsilon, *claim, auroc]
    *worst, service = _worst(main=several)
    pairs = zip((memorization, certified, epsilon), worst, strict=True)
    return [*(column for pair in pairs for column in pair), *claim, auroc, service]


def _leading() -> list[Column[Row]]:
    return [
        Column(
            "memorization",
            "M",
            "Memorization: 1 - mean distance between predicted and true keys / the same with keys re-assigned at random. "
            "0 is chance and 1 is perfect recall. Slightly negative is noise; clearly negative is avoidance, which leaks as "
            "well. In brackets: the 95 % interval, which is too short for up to 64 images where all but a few get one gray, "
            "as from a service that refuses (it covers 55 % with 16 images, 88 % with 64): read the certified images there.",
            NUMBER,
            _lead("memorization"),
            note="chance 0",
            better="lower",
            main=True,
        ),
        Column(
            "certified",
            "certified",
            "Images whose keys the model provably remembers. The p-values are exact and need no reference model. The "
            "false-discovery rate is 2.5 % here and 2.5 % for those that it avoids, so that where nothing is remembered any "
            "of both is found in at most 5 % of all runs (5 % and 5 %, so 10 % together, in records before this rule).",
            COUNT,
            _lead("certified"),
            note="chance 0",
            better="lower",
            main=True,
        ),
        Column(
            "epsilon",
            "ε̂",
            "Empirical privacy loss: a lower bound that holds with 95 % probability, the smallest of any seed. Adjacency is "
            "replacing one image's keys; δ is what the training claims, else 0. It disproves a claimed ε below it.",
            BOUND,
            lambda row: row.lead,
            note="chance 0",
            better="lower",
            form=ONE,
            main=True,
        ),
        Column(
            "auroc",
            "AUROC",
            "How well distances separate trained from held-out images.",
            NUMBER,
            _lead("auroc"),
            note="chance 0.5",
            better="lower",
            main=True,
        ),
    ]


def _worst(*, main: bool) -> list[Column[Row]]:
    return [
        Column(
            "worst_memorization",
            "M*",
            "M in the worst case over all queries. The query with the largest |M| on one half of the images is scored on "
            "the other half, in many halvings, so that luck does not count as memory. Clearly below 0 the strongest query "
            "shows avoidance, which leaks keys as well. M* is a lower bound: it lies nearer to 0 than M of the strongest "
            "query, for idle queries hide some of a leak; the interval covers that M: one end is what is shown, the other "
            "the outermost limit of any query. With one query it is M.",
            NUMBER,
            _starred("memorization"),
            note="chance 0",
            better="lower",
            main=main,
            missing=NO_WORST,
        ),
        Column(
            "worst_certified",
            "certified*",
            "Images certified in the worst case over queries, at a false-discovery rate of 5 % for itself: by the query "
            "that does best on the other half of the images (its answers may be too near to the keys or too far from them), "
            "or by an image's own best query, corrected for all queries.",
            COUNT,
            _starred("certified"),
            note="chance 0",
            better="lower",
            main=main,
            missing=NO_WORST,
        ),
        Column(
            "worst_epsilon",
            "ε̂*",
            "Lower bound on the privacy loss in the worst case over queries. A query is chosen on one half of the images "
            "and scored on the other. With several queries the bound uses half as many images and can be below ε̂.",
            BOUND,
            lambda row: row.worst,
            note="chance 0",
            better="lower",
            form=ONE,
            main=main,
            missing=NO_WORST,
        ),
        Column(
            "service_memorization",
            "M* of the service",
            "M in the worst case over the queries that go through the mitigated service. Curves and rankings use it for "
            "methods that act at sampling, whose weights are the baseline's, and M* for all others. It "
            "is a lower bound with an interval, as M* is.",
            NUMBER,
            lambda row: row.worst_service and row.worst_service.memorization,
            note="chance 0",
            better="lower",
            missing=NO_WORST,
        ),
    ]


def more(board: Leaderboard) -> list[Column[Row]]:
    """What else the leading query finds, and M of every other one."""
    leading = next((next(iter(row.queries)) for row in board.rows if row.queries), "")
    queries = dict.fromkeys(query for row in board.rows for query in row.queries or () if query != leading)
    distances = dict.fromkeys(d for row in board.rows if row.lead is not None for d in row.lead.within)
    retained = any(row.lead is not None and row.lead.retained is not None for row in board.rows)
    return [
        Column(
            "leaked_bits",
            "leaked bits",
            "Bits of its keys that an image gives back. For a forget list of 16 images the interval is short (it covers "
            "82 % where a tenth of them gives back everything).",
            NUMBER,
            _lead("leaked_bits"),
            note="chance 0",
            better="lower",
            form=ONE,
        ),
        Column(
            "tpr_at_1_fpr",
            "TPR at 1 % FPR",
            "Share of trained images nearer than all but 1 % of the held-out ones.",
            SHARE,
            _lead("tpr_at_1_fpr"),
            note="chance about 0.01",
            better="lower",
        ),
        _avoided(),
        *([_refused()] if any(row.reported is not None and row.reported.refused for row in board.rows) else []),
        *(_within(distance) for distance in distances),
        *(_other_query(query) for query in queries),
        *([_retained()] if retained else []),
    ]


def _claimed() -> Column[Row]:
    return Column(
        "claimed_epsilon",
        "ε claimed",
        "The privacy loss that a differentially private training claims by its accountant, at this δ, for replacing one "
        "image's keys. ε̂ is taken at the same δ: above the claim it disproves it, below it proves nothing.",
        CLAIMED,
        lambda row: row.reported and row.reported.claimed,
        better="lower",
        form=ONE,
        main=True,
        missing=NO_CLAIM,
    )


def _refused() -> Column[Row]:
    return Column(
        "refused",
        "refused",
        "Share of queries that the service did not answer: about trained images, held-out images, and fresh captions. M "
        "counts a refusal as an answer that knows nothing. Refusing trained images more often reveals what was trained on.",
        REFUSED,
        lambda row: row.reported and row.reported.refused,
        note="%",
        form=PERCENT,
        missing=NO_REFUSAL,
    )


def _avoided() -> Column[Row]:
    return Column(
        "avoided",
        "avoided",
        "Images certified by answers that are too far from their keys, which reveals the keys as much as answers that are "
        "too near; at half of the false-discovery rate, as the certified ones are.",
        COUNT,
        _lead("avoided"),
        note="chance 0",
        better="lower",
        missing="not recorded",
    )


def _within(distance: str) -> Column[Row]:
    return Column(
        f"within_{distance}",
        f"keys within {distance}",
        f"Share of keys predicted within {distance}, the count of the SolidMark paper, and what chance gives for these very "
        "predictions.",
        SHARE,
        lambda row: row.lead and row.lead.within.get(distance),
        note="beside chance",
        better="lower",
        form=THREE if float(distance) < 0.01 else TWO,
    )


def _other_query(query: str) -> Column[Row]:
    return Column(
        f"memorization_{query}",
        f"M, {query}",
        f"Memorization as the query {query} finds it.",
        NUMBER,
        lambda row: row.queries[query].memorization if row.queries and query in row.queries else None,
        note="chance 0",
        better="lower",
        missing="not asked, or not applicable",
    )


def _retained() -> Column[Row]:
    return Column(
        "memorization_retained",
        "M, retained",
        "For methods with a forget list: memorization of the images that are not on the list. M is that of the images on "
        "it.",
        NUMBER,
        lambda row: row.lead.retained.memorization if row.lead is not None and row.lead.retained is not None else None,
        note="chance 0",
    )


def soundness(board: Leaderboard) -> list[Column[Row]]:
    """The controls."""
    latent = any(row.space is not None for row in board.rows)
    return [*_controls(), *(_space() if latent else [])]


def _controls() -> list[Column[Row]]:
    return [
        Column(
            "held_out",
            "M, held out",
            "Control: M of images that were never trained on, queried in the same batches. Its interval should hold 0.",
            NUMBER,
            lambda r: r.controls and r.controls.held_out.memorization,
            note="expected 0",
        ),
        Column(
            "held_out_certified",
            "certified, held out",
            "Control: certificates among images that were never trained on.",
            COUNT,
            lambda r: r.controls and r.controls.held_out.certified,
            note="expected 0",
        ),
        Column(
            "other_keys",
            "M, other keys",
            "Control: the same answers scored with other keys of the same images. Its interval should hold 0.",
            NUMBER,
            lambda r: r.controls and r.controls.other_keys.memorization,
            note="expected 0",
        ),
        Column(
            "power",
            "power",
            "Control: M of a perfect memorizer under the same query. Where it is low, a low M says little.",
            NUMBER,
            lambda r: r.controls and r.controls.power,
            note="expected 1",
        ),
        Column(
            "spread",
            "mark spread",
            "Standard deviation of predicted keys of held-out images. Far below the baseline's, the mark is grayed out, not "
            "forgotten.",
            PLAIN,
            lambda r: r.controls and r.controls.marks.spread,
            note="see baseline",
        ),
        Column(
            "unevenness",
            "mark unevenness",
            "How uneven a mark's segment is. Far from the baseline's, and with a low spread, the mark is not valid.",
            PLAIN,
            lambda r: r.controls and r.controls.marks.unevenness,
            note="see baseline",
        ),
    ]


def _space() -> list[Column[Row]]:
    """What a latent space itself loses of a key."""
    return [
        Column(
            "autoencoder_error",
            "key error of the autoencoder",
            "Control: the mean error of a key on held-out images after encoding and decoding alone. Above 0.02 a row fails.",
            PLAIN,
            lambda r: r.space and r.space.key_error,
            note="at most 0.02",
            better="lower",
            form=FOUR,
            missing=NO_SPACE,
        ),
        Column(
            "autoencoder_bias",
            "its bias",
            "Control: the mean of the same errors with their sign. Far from 0 the autoencoder darkens or lightens marks.",
            PLAIN,
            lambda r: r.space and r.space.bias,
            note="expected 0",
            form=FOUR,
            missing=NO_SPACE,
        ),
        Column(
            "autoencoder_ceiling",
            "M of the autoencoder",
            "Control: M of keys that were encoded and decoded alone. No query can find more.",
            NUMBER,
            lambda r: r.space and r.space.ceiling,
            note="expected 1",
            missing=NO_SPACE,
        ),
    ]


def _lead(name: str) -> Callable[[Row], Any]:
    return lambda row: row.lead and getattr(row.lead, name)


def _starred(name: str) -> Callable[[Row], Any]:
    return lambda row: row.worst and getattr(row.worst, name)
