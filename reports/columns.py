"""The columns of the leaderboard: what is shown, what it means, what chance gives, which way is better."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from solidmark.compare import Leaderboard, Row

from .table import (
    BOUND,
    COUNT,
    DISTANCE,
    NUMBER,
    ONE,
    PLAIN,
    PROPORTION,
    SHARE,
    TEXT,
    THREE,
    TIMES,
    TWO,
    WHOLE,
    Column,
    Table,
)


def table(board: Leaderboard) -> Table:
    """All columns that some row of the board has a use for, the main ones first."""
    return Table(
        (
            *_who(board),
            *_scores(),
            *_utility(board),
            *_cost(),
            *_more_scores(board),
            *_soundness(),
            *_more_utility(),
            *_origin(),
        ),
        board.rows,
    )


def _who(board: Leaderboard) -> list[Column]:
    several = len({facts.name for facts in board.testbeds}) > 1
    return [
        Column("testbed", "testbed", "Images, mark, model and training recipe.", TEXT, lambda r: r.testbed, main=several),
        Column(
            "mitigation",
            "mitigation",
            "The technique with the parameters that tell its strength. Rows stand in the order baseline, stage, family, "
            "strength; there is no ranking.",
            TEXT,
            lambda r: r.mitigation,
            main=True,
        ),
        Column(
            "stage",
            "stage",
            "When it acts: rows of stage sampling share the baseline's weights, post-hoc rows edit a copy of them.",
            TEXT,
            lambda r: r.stage,
            main=True,
        ),
        Column(
            "needs",
            "needs",
            "What the technique was handed beyond the model, as declared and measured.",
            TEXT,
            lambda r: ", ".join(r.needs) or None,
            main=True,
        ),
        Column(
            "seeds",
            "seeds",
            "Each seed has its own images, keys and training. With several, intervals are for the mean over them.",
            TEXT,
            seeds_told,
            main=True,
        ),
    ]


def _scores() -> list[Column]:
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
            "key, δ = 0. A differentially private training whose claimed ε lies below it is proved wrong.",
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


def _utility(board: Leaderboard) -> list[Column]:
    chances = {row.utility.accuracy.chance for row in board.rows if row.utility is not None}
    alike = len(chances) == 1
    return [
        Column(
            "accuracy",
            "accuracy",
            "Utility: how often a judge trained on real images sees the class that was asked for, on plain generation from "
            "fresh captions with the mitigation active and the mark cropped away.",
            PROPORTION if alike else SHARE,
            _useful("accuracy"),
            note=f"chance {chances.pop():.2g}" if alike else "beside chance",
            better="higher",
            main=True,
        ),
        Column(
            "frechet",
            "Fréchet",
            "Distance between generated and held-out images in the judge's features, beside the same between two halves of "
            "real images, below which no generator can be expected to come.",
            DISTANCE,
            _useful("frechet"),
            note="floor: real",
            better="lower",
            form=ONE,
            main=True,
        ),
    ]


def _cost() -> list[Column]:
    return [
        Column(
            "training_relative",
            "training",
            "Denoiser evaluations, forward and backward, of training and editing, counted, against the baseline's training.",
            PLAIN,
            lambda r: r.cost and r.cost.relative,
            note="of baseline",
            better="lower",
            form=TIMES,
            main=True,
        ),
        Column(
            "sampling_per_image",
            "sampling",
            "Denoiser evaluations, forward and backward, an image at plain generation, counted.",
            PLAIN,
            lambda r: r.cost and r.cost.sampling.per_image,
            note="an image",
            better="lower",
            form=WHOLE,
            main=True,
        ),
        Column(
            "status",
            "status",
            "ok, or why a row has no numbers: one failed control or seed is enough, since a mean over what happens to be "
            "there would flatter the row.",
            TEXT,
            lambda r: r.status,
            main=True,
        ),
    ]


def _more_scores(board: Leaderboard) -> list[Column]:
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
        *(_within(distance) for distance in distances),
        *(_other_query(query) for query in queries),
        *([_retained()] if retained else []),
    ]


def _within(distance: str) -> Column:
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


def _other_query(query: str) -> Column:
    return Column(
        f"memorization_{query}",
        f"M, {query}",
        f"Memorization as another query finds it: {QUERIES.get(query, 'see its documentation')}.",
        NUMBER,
        lambda row: row.queries[query].memorization if row.queries and query in row.queries else None,
        note="chance 0",
        better="lower",
    )


QUERIES = {
    "outpaint-weights": "the same outpainting with the mitigation switched off at sampling, that is, what was stored",
    "image-only": "the image without its caption",
    "caption-only": "the caption without the image, that is, what a user of a service could see",
    "average": "the mean of several answers, which undoes randomising methods",
}
"""What the suite's own queries do, for the help text alone."""


def _retained() -> Column:
    return Column(
        "memorization_retained",
        "M, retained",
        "Memorization of the images that were not to be forgotten, for methods with a forget list, whose M is that of the "
        "images on the list.",
        NUMBER,
        lambda row: row.lead.retained.memorization if row.lead is not None and row.lead.retained is not None else None,
        note="chance 0",
    )


def _soundness() -> list[Column]:
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


def _more_utility() -> list[Column]:
    return [
        Column(
            "kernel",
            "kernel distance",
            "Squared maximum mean discrepancy in the judge's features, beside the same between two real halves; 0 in "
            "expectation for equal distributions.",
            DISTANCE,
            _useful("kernel"),
            note="floor: real",
            better="lower",
        ),
        Column(
            "diversity",
            "diversity",
            "Recall: the share of held-out images that have a generated one as near as generated ones lie to each other.",
            PROPORTION,
            _useful("diversity"),
            note="chance 0",
            better="higher",
        ),
        Column(
            "diversity_real",
            "diversity, real",
            "The same for real images, which no generator can be expected to exceed.",
            PLAIN,
            lambda r: r.utility and r.utility.diversity_real,
            note="ceiling",
        ),
    ]


def _origin() -> list[Column]:
    return [
        _evaluations("training", "Denoiser evaluations of the training, forward and backward, a seed."),
        _evaluations("editing", "Denoiser evaluations of the edit after training, forward and backward, a seed."),
        Column(
            "train_seconds",
            "seconds",
            "Seconds of training and editing, a seed; they depend on the machine, evaluations do not.",
            PLAIN,
            lambda r: r.cost and r.cost.training.seconds + r.cost.editing.seconds,
            note="training, editing",
            better="lower",
            form=ONE,
        ),
        Column(
            "peak_bytes",
            "peak memory",
            "Largest memory of the measuring process up to then, of any seed.",
            PLAIN,
            lambda r: r.cost and r.cost.peak_bytes,
            note="bytes",
            better="lower",
            form=WHOLE,
        ),
        Column(
            "control",
            "reference",
            "Whether a row is there to be compared with: the baseline, or a point of its stage's reference curve.",
            TEXT,
            lambda r: "yes" if r.control else "no",
        ),
        Column(
            "protocol",
            "protocol",
            "How images are sampled; rows compare only within one protocol.",
            TEXT,
            lambda r: protocol_told(r.protocol) if r.protocol else None,
        ),
        Column(
            "environment",
            "environment",
            "Device kind, torch version and precision. Rows of different environments are not to be compared pair by pair.",
            TEXT,
            lambda r: ", ".join(r.environments) or None,
        ),
        Column("reason", "reason", "Why a row has no numbers.", TEXT, lambda r: r.reason or None),
    ]


def _evaluations(part: str, meaning: str) -> Column:
    return Column(
        f"{part}_evaluations",
        f"{part} evaluations",
        meaning,
        PLAIN,
        lambda row: row.cost and getattr(row.cost, part).evaluations,
        note="forward + backward",
        better="lower",
        form=WHOLE,
    )


def _lead(name: str) -> Callable[[Row], Any]:
    return lambda row: row.lead and getattr(row.lead, name)


def _useful(name: str) -> Callable[[Row], Any]:
    return lambda row: row.utility and getattr(row.utility, name)


def seeds_told(row: Row) -> str:
    """`0, 1` or `0-7`, and those that neighbours were asked with and this row was not."""
    told = spans(row.seeds) or "unknown"
    return f"{told} (not {spans(row.seeds_missing)})" if row.seeds_missing else told


def spans(numbers: Iterable[int]) -> str:
    """Whole numbers with runs of three or more drawn together: `0, 2-7`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def protocol_told(protocol: Mapping[str, Any]) -> str:
    """`fast: steps 25, eta 1.0, guidance 3.0`."""
    told = ", ".join(f"{name} {value}" for name, value in protocol.items() if name != "name")
    return f"{protocol.get('name', 'protocol')}: {told}" if told else "unknown"
