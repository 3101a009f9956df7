"""The words of a report, shared by Markdown and HTML: what was found, how to read it, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solidmark.leaderboard import NO_CLASS, NO_POWER, Leaderboard, Number, Row, Share, TestbedFacts

from . import finding_cards
from .columns import spans
from .table import Cell, Column, Table

TITLE = "Which mitigations stop memorization?"

NOTHING = (
    "There are no records yet, so there is nothing to compare. "
    "Run the benchmark, then `solidmark report RUN` with the run's folder."
)

PRINCIPLES = (
    (
        "What is measured",
        "Every training image carries a mark whose grays, its keys, were drawn at random. A model that gives back the keys "
        "when it is shown the rest of the image remembers that image; nothing else could tell it.",
    ),
    (
        "Numbers in brackets",
        "95 % intervals. For M the jackknife over images, from five seeds on t over seeds; shares Clopper-Pearson, AUROC "
        "DeLong. Two rows whose intervals overlap may well be equal.",
    ),
    (
        "What is a good row",
        "Low memorization by itself is easy: an untrained model has none. What counts is M at equal utility. The rows "
        "marked as references show what plain under-fitting, plain lower guidance and plain fine-tuning reach; only a "
        "family whose curve lies below that of its stage's reference mitigates, and its verdict is real.",
    ),
    (
        "What a low M does not say",
        "It says what the leading query found. A sampling-stage row leaves in the model what was stored, which queries with "
        "access to the weights can read. M* is the worst case over all queries that were asked, and no query that was not.",
    ),
)
"""Title and text of what every reader must know, before the columns are explained."""


def counts(board: Leaderboard) -> str:
    """`58 rows, all controls passed`, or how many rows have no numbers and why."""
    total, without = len(board.rows), [row for row in board.rows if not row.ok]
    rows = f"{total} row{'' if total == 1 else 's'}"
    if not without:
        return f"{rows}, all controls passed"
    kinds = dict.fromkeys(row.status for row in without)
    told = ", ".join(f"{sum(row.status == kind for row in without)} {kind.replace('_', ' ')}" for kind in kinds)
    return f"{rows}, {len(without)} of them without numbers ({told})"


def headline(board: Leaderboard, facts: TestbedFacts) -> str:
    """The baseline of a testbed in one sentence; what is missing where it has no numbers."""
    baseline = board.baseline(facts)
    if baseline is None or baseline.lead is None:
        found = next((row for row in board.of(facts) if row.baseline), None)
        why = f"{found.status}: {found.reason}" if found else "it is not among the records"
        return f"the baseline has no numbers ({why}), so no row can be compared with it"
    lead = baseline.lead
    m, bits = lead.memorization, lead.leaked_bits
    return (
        f"baseline: M {_interval(m)} where chance gives 0, "
        f"{lead.certified.count} of {lead.certified.of} images certified memorized where chance gives 0, "
        f"{bits.value:z.1f} [{bits.low:z.1f}, {bits.high:z.1f}] bits of keys leaked an image{_over_queries(baseline)}"
    )


def _over_queries(row: Row) -> str:
    """The worst case of a row, where it was asked several queries."""
    worst = row.worst
    if worst is None or worst.queries == 1:
        return ""
    found = f"{worst.certified.count} of {worst.certified.of} certified*, ε̂* ≥ {worst.epsilon.low:z.1f}"
    return f"; in the worst case over {worst.queries} queries M* {_interval(worst.memorization)}, {found}"


def sentence(text: str) -> str:
    """The text with a capital first letter, all else as it is."""
    return text[:1].upper() + text[1:]


def lede(board: Leaderboard) -> str:
    """The page in a few sentences."""
    names = " and ".join(facts.title for facts in board.testbeds)
    where = f", on testbed{'' if len(board.testbeds) == 1 else 's'} {names}" if names else ""
    first, last = (day.partition("T")[0] for day in board.measured)
    when = f", measured {first if first == last else f'{first} to {last}'}" if first else ""
    told = [f"{sentence(counts(board))}{where}"] if board.rows else []
    told += [sentence(finding_cards.counts(board.findings))] if board.findings else []
    return (
        "A diffusion model is trained on images that carry random gray keys, and is then asked for them: what it gives "
        f"back, it has memorized. {'. '.join(told)}{when}."
    )


def stats(board: Leaderboard, facts: TestbedFacts) -> list[tuple[str, str, str]]:
    """The baseline in large figures: label, value, and what stands beside it. Empty where it has no numbers."""
    baseline = board.baseline(facts)
    if baseline is None or baseline.lead is None or baseline.controls is None:
        return []
    lead, power = baseline.lead, baseline.controls.power
    m, bits = lead.memorization, lead.leaked_bits
    return [
        ("memorization M", f"{m.value:z.2f}", f"{m.low:z.2f} to {m.high:z.2f}; chance 0"),
        *_worst_stat(baseline),
        ("certified memorized", f"{lead.certified.count} of {lead.certified.of}", "images; chance 0"),
        ("leaked an image", f"{bits.value:z.1f} bits", f"{bits.low:z.1f} to {bits.high:z.1f}; chance 0"),
        ("privacy loss ε̂", f"≥ {lead.epsilon.low:z.1f}", "with 95 % probability; chance 0"),
        ("power of the query", f"{power.value:z.2f}", "M of a perfect memorizer; ideal 1"),
    ]


def _worst_stat(row: Row) -> list[tuple[str, str, str]]:
    worst = row.worst
    if worst is None or worst.queries == 1:
        return []
    m = worst.memorization
    return [(f"M*, worst of {worst.queries} queries", f"{m.value:z.2f}", f"{m.low:z.2f} to {m.high:z.2f}; chance 0")]


def certified(board: Leaderboard, facts: TestbedFacts) -> str:
    """In how many rows images are still certified, without a word on which is better."""
    rows = [row for row in board.of(facts) if row.lead is not None and not row.baseline]
    if not rows:
        return "No mitigation has numbers"
    found = sum(row.lead is not None and row.lead.certified.count > 0 for row in rows)
    told = f"In {found} of {len(rows)} mitigated rows images are still certified"
    asked = [row.worst for row in rows if row.worst is not None and row.worst.queries > 1]
    starred = sum(worst.certified.count > 0 for worst in asked)
    return f"{told}; in the worst case over queries, in {starred} of {len(asked)}" if asked else told


def explained(columns: tuple[Column[Any], ...]) -> list[tuple[str, str]]:
    """Heading and meaning of each column."""
    return [(column.heading, column.help) for column in columns]


def sizes(board: Leaderboard, facts: TestbedFacts) -> str:
    """Images and seeds of a testbed: `64 trained and 256 held-out images a seed; seeds 0-2`."""
    rows = [row for row in board.of(facts) if row.ok]
    seeds = spans({seed for row in board.of(facts) for seed in row.seeds}) or "unknown"
    if not rows or rows[0].lead is None or rows[0].controls is None:
        return f"seeds {seeds}"
    baseline = board.baseline(facts) or rows[0]
    assert baseline.lead is not None
    assert baseline.controls is not None
    trained, held_out = baseline.lead.memorization.images, baseline.controls.held_out.memorization.images
    return f"{trained} trained and {held_out} held-out images a seed, {baseline.lead.keys} keys an image; seeds {seeds}"


def environments(board: Leaderboard) -> str:
    """The environment keys of all rows, with a warning where there are several."""
    keys = sorted({key for row in board.rows for key in row.environments})
    warning = " (rows of different environments are not to be compared pair by pair)" if len(keys) > 1 else ""
    return (", ".join(keys) or "unknown") + warning


def power(facts: TestbedFacts) -> list[tuple[str, str]]:
    """Each query with M of the perfect memorizer: how much there is to be found that the query finds."""
    told = facts.power or {}
    return [(query, _interval(m) if m is not None else f"–: {NO_POWER}") for query, m in told.items()]


def marking(board: Leaderboard, facts: TestbedFacts) -> list[tuple[str, str, str]]:
    """The cost of marking: utility of the baseline, trained with marks, beside the same training without."""
    baseline = board.baseline(facts)
    if baseline is None or baseline.utility is None or facts.unmarked is None:
        return []
    pair = (baseline.utility, facts.unmarked)
    rows = [
        ("accuracy", *(_share(one.accuracy) if one.accuracy else f"–: {NO_CLASS}" for one in pair)),
        ("Fréchet", *(f"{one.frechet.value:z.2f} (real {one.frechet.real:z.2f})" for one in pair)),
        ("diversity", *(f"{_share(one.diversity)} (real {one.diversity_real:z.2f})" for one in pair)),
    ]
    return [(name, marked, unmarked) for name, marked, unmarked in rows]


def _interval(number: Number) -> str:
    return f"{number.value:z.2f} [{number.low:z.2f}, {number.high:z.2f}]"


def _share(share: Share) -> str:
    return f"{share.share:z.2f} [{share.low:z.2f}, {share.high:z.2f}]"


def provenance(board: Leaderboard) -> list[tuple[str, str]]:
    """Name and value of what a result comes from; what is not recorded is said to be unknown."""
    run = board.provenance
    first, last = board.measured
    facts = [
        ("benchmark version", str(board.benchmark_version or "unknown")),
        ("measured", first if first == last else f"{first} to {last}"),
        ("environment", environments(board)),
        ("commit", _commit(run.get("code") or {})),
        ("profile", str(run.get("profile") or "unknown")),
        ("command", " ".join(map(str, run.get("arguments") or [])) or "unknown"),
        ("machine", ", ".join(f"{name} {value}" for name, value in (run.get("machine") or {}).items()) or "unknown"),
        ("packages", _packages(run.get("packages") or {})),
    ]
    return [(name, value or "unknown") for name, value in facts]


def _commit(code: Mapping[str, Any]) -> str:
    if not code.get("commit"):
        return str(code.get("reason") or "unknown")
    return f"{code['commit']}{', with changes that were not committed' if code.get('dirty') else ''}"


def _packages(packages: Mapping[str, str]) -> str:
    wanted = ("solidmark", "torch", "diffusers", "transformers", "numpy", "scipy", "scikit-learn")
    return ", ".join(f"{name} {packages[name]}" for name in wanted if name in packages)


def references(rows: tuple[Row, ...]) -> list[tuple[str, str]]:
    """Each family with its source."""
    found = {row.family: row.reference for row in rows if row.reference}
    return sorted(found.items())


def cells(table: Table[Row], columns: tuple[Column[Row], ...]) -> list[tuple[Row, list[Cell]]]:
    """Every row with its cells."""
    return [(row, [column.cell(row) for column in columns]) for row in table.rows]
