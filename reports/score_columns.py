"""Columns of memorization: the leading query, the worst case over queries, every other query, and the controls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solidmark.leaderboard import NO_CLAIM, NO_REFUSAL, NO_WORST, Leaderboard, Row

from .table import BOUND, CLAIMED, COUNT, NUMBER, ONE, PERCENT, PLAIN, REFUSED, SHARE, THREE, TWO, Column


def main(board: Leaderboard) -> list[Column[Row]]:
    """What the leading query finds, and beside it what the worst case over queries does, where several were asked."""
    several = any(row.worst is not None and row.worst.queries > 1 for row in board.rows)
    starred = any(row.worst is not None for row in board.rows)
    memorization, certified, epsilon, auroc = _leading()
    claim = [_claimed()] if any(row.telling is not None and row.telling.claimed for row in board.rows) else []
    if not starred:
        return [memorization, certified, epsilon, *claim, auroc]
    *starred_ones, service = _worst(main=several)
    pairs = zip((memorization, certified, epsilon), starred_ones, strict=True)
    return [*(column for pair in pairs for column in pair), *claim, auroc, service]


def _leading() -> list[Column[Row]]:
    return [
        Column(
            "memorization",
            "M",
            "Memorization: 1 - mean distance between predicted and true keys / the same with keys re-assigned at random. "
            "0 is chance, 1 perfect recall, slightly negative is noise, clearly negative is avoidance, which leaks as well. "
            "In brackets the 95 % interval.",
            NUMBER,
            _lead("memorization"),
            note="chance 0",
            better="lower",
            main=True,
        ),
        Column(
            "certified",
            "certified",
            "Images of which it is proved, at a false-discovery rate of 5 %, that the model remembers their keys. "
            "Exact p-values, no reference model.",
            COUNT,
            _lead("certified"),
            note="chance 0",
            better="lower",
            main=True,
        ),
        Column(
            "epsilon",
            "ε̂",
            "Empirical privacy loss: a lower bound that holds with 95 % probability, the smallest over seeds; replacing one "
            "image's keys, at the δ that the training claims, else at 0. A differentially private training whose claimed ε "
            "lies below it is proved wrong.",
            BOUND,
            _lead("epsilon"),
            note="chance 0",
            better="lower",
            form=ONE,
            main=True,
        ),
        Column(
            "auroc",
            "AUROC",
            "How well distances tell trained from held-out images.",
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
            "M in the worst case over all queries that were asked: the query whose M is largest by size on one half of the "
            "images predicts for the other half, in many halvings. It pays for having chosen, so that luck is no memory; "
            "clearly below 0 the strongest query shows avoidance, which leaks keys as well. With one query it is M.",
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
            "Images certified in the worst case over queries, at the same false-discovery rate: by the query that does best "
            "on the other half of the images, whose answers may be too near to the keys or too far from them, or by an "
            "image's own best query at the price of having asked all.",
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
            "Lower bound on the privacy loss in the worst case over queries. Queries are chosen on half of the images and "
            "judged on the others, so with several of them the bound rests on half as many and can lie below ε̂.",
            BOUND,
            _starred("epsilon"),
            note="chance 0",
            better="lower",
            form=ONE,
            main=main,
            missing=NO_WORST,
        ),
        Column(
            "service_memorization",
            "M* of the service",
            "M in the worst case over the queries that go through the mitigated service. Curves and rankings hold what acts "
            "at sampling to this one, since the weights behind it are the baseline's, and all else to M*.",
            NUMBER,
            lambda row: row.worst_service and row.worst_service.memorization,
            note="chance 0",
            better="lower",
            missing=NO_WORST,
        ),
    ]


def more(board: Leaderboard) -> list[Column[Row]]:
    """What else the leading query tells, and M of every other one."""
    leading = next((next(iter(row.queries)) for row in board.rows if row.queries), "")
    queries = dict.fromkeys(query for row in board.rows for query in row.queries or () if query != leading)
    distances = dict.fromkeys(d for row in board.rows if row.lead is not None for d in row.lead.within)
    retained = any(row.lead is not None and row.lead.retained is not None for row in board.rows)
    return [
        Column(
            "leaked_bits",
            "leaked bits",
            "Bits of its keys that come back, an image.",
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
        *([_refused()] if any(row.telling is not None and row.telling.refused for row in board.rows) else []),
        *(_within(distance) for distance in distances),
        *(_other_query(query) for query in queries),
        *([_retained()] if retained else []),
    ]


def _claimed() -> Column[Row]:
    return Column(
        "claimed_epsilon",
        "ε claimed",
        "The privacy loss that a differentially private training claims by its accountant, at the δ beside it, for "
        "replacing one image's keys. ε̂ is taken at the same δ: above the claim it proves it wrong, below it proves nothing.",
        CLAIMED,
        lambda row: row.telling and row.telling.claimed,
        better="lower",
        form=ONE,
        main=True,
        missing=NO_CLAIM,
    )


def _refused() -> Column[Row]:
    return Column(
        "refused",
        "refused",
        "Queries about trained images that the service did not answer, beside those about held-out images and fresh "
        "captions. M counts them as answers that know nothing; that trained images are refused more often gives away who "
        "was trained on.",
        REFUSED,
        lambda row: row.telling and row.telling.refused,
        note="%",
        form=PERCENT,
        missing=NO_REFUSAL,
    )


def _avoided() -> Column[Row]:
    return Column(
        "avoided",
        "avoided",
        "Images certified by answers that are too far from their keys, which tells of the keys as much as answers that are "
        "too near.",
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
        f"Share of keys predicted to {distance}, the count of the SolidMark paper, beside what chance gives for these very "
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
        "Memorization of the images that were not to be forgotten, for methods with a forget list, whose M is that of the "
        "images on the list.",
        NUMBER,
        lambda row: row.lead.retained.memorization if row.lead is not None and row.lead.retained is not None else None,
        note="chance 0",
    )


def soundness() -> list[Column[Row]]:
    """The controls."""
    return [
        Column(
            "held_out",
            "M, held out",
            "Control: M of images that were never trained on, asked in the same batches. Its interval should hold 0.",
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
            "Control: the same answers scored against other keys of the same images. Its interval should hold 0.",
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
            "Standard deviation of predicted keys of held-out images. Far below the baseline's, the mark is grayed out "
            "rather than forgotten.",
            PLAIN,
            lambda r: r.controls and r.controls.marks.spread,
            note="see baseline",
        ),
        Column(
            "unevenness",
            "mark unevenness",
            "How uneven a mark's segment is. Far from the baseline's together with a low spread, the mark is not valid.",
            PLAIN,
            lambda r: r.controls and r.controls.marks.unevenness,
            note="see baseline",
        ),
    ]


def _lead(name: str) -> Callable[[Row], Any]:
    return lambda row: row.lead and getattr(row.lead, name)


def _starred(name: str) -> Callable[[Row], Any]:
    return lambda row: row.worst and getattr(row.worst, name)
