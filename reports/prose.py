"""The words of a report, shared by Markdown and HTML: what was found, how to read it, where it comes from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from solidmark.leaderboard import NO_CLASS, NO_POWER, Estimate, Leaderboard, Row, TestbedFacts, Utility
from solidmark.leaderboard.disagreement import GLOSSARY
from solidmark.leaderboard.hours import hours
from solidmark.leaderboard.left_out import words
from solidmark.schema.run import CodeBlock, RunFile

from . import finding_cards
from .columns import spans
from .table import ONE, TWO, Cell, Column, Table, with_interval

TITLE = "Which mitigations stop memorization?"

NOTHING = (
    "There are no records yet, so there is nothing to compare. "
    "Run the benchmark, then `solidmark report RUN` with the run's folder."
)

PRINCIPLES = (
    (
        "What is measured",
        "Every training image carries a mark of gray cells. Their gray levels, the keys, were drawn at random. A model that "
        "gives back the keys when it sees the rest of the image remembers that image: nothing else could reveal them.",
    ),
    (
        "Numbers in brackets",
        "95 % intervals. Over several seeds each is the wider of two: what the images say of these trained models (M: "
        "jackknife; shares: Clopper-Pearson; AUROC: DeLong), and Student's t over the seeds, each of which trains anew. "
        "With three seeds the second is 4.3 standard errors wide on either side. ε̂ has one end and speaks of these models "
        "alone. Two rows whose intervals overlap may well be equal.",
    ),
    (
        "What is a good row",
        "Low memorization alone is easy: an untrained model has none. What counts is M at equal utility. The rows marked as "
        "references show what plain under-fitting, plain lower guidance and plain fine-tuning reach. A family mitigates "
        "only if its curve is below that of its stage's reference, by keys and, where it was measured, by content as well; "
        "then its verdict is real.",
    ),
    (
        "What a low M does not say",
        "M says what the leading query found. A method that acts at sampling leaves in the model what was stored, and "
        "white-box queries can read it. M* is the worst case over all queries of the benchmark, not over all possible ones, "
        "and a lower bound of it: what the strongest query finds lies within the interval.",
    ),
)
"""Title and text of what every reader must know, before the columns are explained."""

TWO_YARDSTICKS = (
    "Two yardsticks",
    "Keys are exact, but they are not the image: whoever takes the marks from their images, or the captions, has no key "
    "left and gives the image away. So the pictures themselves are compared with the trained images: content. AUROC "
    "(chance 0.5) says how well they tell trained images from held-out ones. It is no M (chance 0), and the two are never "
    "added up. A family counts by the worse of both, and where they differ a row says how.",
)
KEYS_ONLY = (
    "Keys only",
    "These records hold no content: verdicts and ranks are by keys alone. Whoever takes the marks from their images would "
    "look good here.",
)


def principles(board: Leaderboard) -> tuple[tuple[str, str], ...]:
    """What every reader must know of this leaderboard, with the phrases that its rows use."""
    if not board.rows or all(row.content is None for row in board.rows):
        return (*PRINCIPLES, KEYS_ONLY)
    return (*PRINCIPLES, TWO_YARDSTICKS, *((f"“{phrase}”", meaning) for phrase, meaning in GLOSSARY.items()))


def counts(board: Leaderboard) -> str:
    """`58 rows, all controls passed`, or how many rows have no numbers and why."""
    total, without = len(board.rows), [row for row in board.rows if not row.ok]
    rows = f"{total} row{'' if total == 1 else 's'}"
    if not without:
        return f"{rows}, all controls passed"
    kinds = dict.fromkeys(row.status for row in without)
    numbers = ", ".join(f"{sum(row.status == kind for row in without)} {kind.replace('_', ' ')}" for kind in kinds)
    return f"{rows}, {len(without)} of them without numbers ({numbers})"


def headline(board: Leaderboard, facts: TestbedFacts) -> str:
    """The baseline of a testbed in one sentence; what is missing where it has no numbers."""
    baseline = board.baseline(facts)
    if baseline is None or baseline.lead is None:
        failed = next((row for row in board.of(facts) if row.baseline), None)
        why = f"{failed.status}: {failed.reason}" if failed else "it is not among the records"
        return f"the baseline has no numbers ({why}), so no row can be compared with it"
    lead = baseline.lead
    return (
        f"baseline: M {with_interval(lead.memorization)} where chance gives 0, "
        f"{lead.certified.count} of {lead.certified.of} images certified memorized where chance gives 0, "
        f"{with_interval(lead.leaked_bits, ONE)} bits of keys leaked an image{_over_queries(baseline)}"
        f"{_by_content(baseline)}"
    )


def _by_content(row: Row) -> str:
    """AUROC of content, from the own caption where captions say something, and from any."""
    if row.content is None:
        return ""
    scores = {"the own caption": row.content.own, "any caption": row.content.any}
    shown = [f"{with_interval(score.auroc)} from {name}" for name, score in scores.items() if score is not None]
    return f"; by content AUROC {', '.join(shown)}, where chance gives 0.5"


def _over_queries(row: Row) -> str:
    """The worst case of a row, where it was asked several queries."""
    worst = row.worst
    if worst is None or worst.queries == 1:
        return ""
    certified = f"{worst.certified.count} of {worst.certified.of} certified*, ε̂* ≥ {worst.epsilon.value:z.1f}"
    return f"; in the worst case over {worst.queries} queries M* {with_interval(worst.memorization)}, {certified}"


def sentence(text: str) -> str:
    """The text with a capital first letter, all else as it is."""
    return text[:1].upper() + text[1:]


def ended(text: str) -> str:
    """The text with one full stop at its end, whether or not it has one."""
    return f"{text.rstrip('.')}."


def lede(board: Leaderboard) -> str:
    """The page in a few sentences."""
    names = " and ".join(facts.title for facts in board.testbeds)
    where = f", on testbed{'' if len(board.testbeds) == 1 else 's'} {names}" if names else ""
    when = f", measured {_days(board)}" if board.measured[0] else ""
    parts = [f"{sentence(counts(board))}{where}"] if board.rows else []
    parts += [sentence(finding_cards.counts(board.findings))] if board.findings else []
    return (
        "A diffusion model is trained on images that carry random gray keys, and is then asked for them: what it gives "
        f"back, it has memorized. {'. '.join(parts)}{when}."
    )


def stats(board: Leaderboard, facts: TestbedFacts) -> list[tuple[str, str, str]]:
    """The baseline in large figures: label, value, and a note. Empty where it has no numbers."""
    baseline = board.baseline(facts)
    if baseline is None or baseline.lead is None or baseline.controls is None:
        return []
    lead, power = baseline.lead, baseline.controls.power
    m, bits = lead.memorization, lead.leaked_bits
    return [
        ("memorization M", f"{m.value:z.2f}", f"{_range(m, TWO)}; chance 0"),
        *_worst_stat(baseline),
        ("certified memorized", f"{lead.certified.count} of {lead.certified.of}", "images; chance 0"),
        ("leaked an image", f"{bits.value:z.1f} bits", f"{_range(bits, ONE)}; chance 0"),
        ("privacy loss ε̂", f"≥ {lead.epsilon.value:z.1f}", "with 95 % probability; chance 0"),
        *_content_stat(baseline),
        ("power of the query", f"{power.value:z.2f}", "M of a perfect memorizer; ideal 1"),
    ]


def _worst_stat(row: Row) -> list[tuple[str, str, str]]:
    worst = row.worst
    if worst is None or worst.queries == 1:
        return []
    m = worst.memorization
    return [(f"M*, worst of {worst.queries} queries", f"{m.value:z.2f}", f"{_range(m, TWO)}; chance 0")]


def _content_stat(row: Row) -> list[tuple[str, str, str]]:
    if row.content is None:
        return []
    name, score = ("own", row.content.own) if row.content.own is not None else ("any", row.content.any)
    return [(f"content, {name} caption", f"{score.auroc.value:.2f}", f"AUROC, {_range(score.auroc, TWO)}; chance 0.5")]


def _range(estimate: Estimate, form: str) -> str:
    """`0.87 to 0.89`."""
    return " to ".join(form.format(limit) for limit in estimate.limits)


def certified_rows(board: Leaderboard, facts: TestbedFacts) -> str:
    """In how many rows images are still certified; it says nothing on which row is better."""
    rows = [row for row in board.of(facts) if row.lead is not None and not row.baseline]
    if not rows:
        return "No mitigation has numbers"
    count = sum(row.lead is not None and row.lead.certified.count > 0 for row in rows)
    text = f"In {count} of {len(rows)} mitigated rows images are still certified"
    several = [row.worst for row in rows if row.worst is not None and row.worst.queries > 1]
    starred = sum(worst.certified.count > 0 for worst in several)
    return f"{text}; in the worst case over queries, in {starred} of {len(several)}" if several else text


def explain(columns: tuple[Column[Any], ...]) -> list[tuple[str, str]]:
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
    trained, held_out = baseline.lead.memorization.count, baseline.controls.held_out.memorization.count
    return f"{trained} trained and {held_out} held-out images a seed, {baseline.lead.keys} keys an image; seeds {seeds}"


def environments(board: Leaderboard) -> str:
    """The environment keys of all rows, with a warning where there are several."""
    keys = sorted({key for row in board.rows for key in row.environments})
    warning = " (do not compare rows of different environments pair by pair)" if len(keys) > 1 else ""
    return (", ".join(keys) or "unknown") + warning


def power(facts: TestbedFacts) -> list[tuple[str, str]]:
    """Each query with M of the perfect memorizer: how much of what can be found the query finds."""
    return [(query, with_interval(m) if m is not None else f"–: {NO_POWER}") for query, m in (facts.power or {}).items()]


DETECTORS = (
    "How well each detector of memorized prompts tells the captions that the baseline was trained on from others: AUROC, "
    "0.5 is chance."
)


def detectors(facts: TestbedFacts) -> list[tuple[str, str, str]]:
    """Each detector with its AUROC, or why it has none, and what it costs a prompt in denoiser evaluations."""
    return [
        (
            name,
            with_interval(one.auroc) if one.auroc is not None else f"–: {one.reason}",
            "–" if one.evaluations is None else ONE.format(one.evaluations),
        )
        for name, one in facts.detectors.items()
    ]


def marking(board: Leaderboard, facts: TestbedFacts) -> list[tuple[str, str, str]]:
    """The cost of marking: utility of the baseline, trained with marks, and of the same training without."""
    baseline = board.baseline(facts)
    if baseline is None or baseline.utility is None or facts.unmarked is None:
        return []
    marked, unmarked = _utility(baseline.utility), _utility(facts.unmarked)
    return [(name, marked[name], unmarked[name]) for name in marked if name in unmarked]


def _utility(utility: Utility) -> dict[str, str]:
    """Each number of a utility, by its name."""
    return {
        "accuracy": with_interval(utility.accuracy) if utility.accuracy else f"–: {NO_CLASS}",
        "Fréchet": f"{utility.frechet.value:z.2f} (real {utility.frechet_real:z.2f})",
        "diversity": f"{with_interval(utility.diversity)} (real {utility.diversity_real:z.2f})",
        **({"CLIP score": _clip(utility.clip, utility.clip_real)} if utility.clip is not None else {}),
    }


def _clip(found: Estimate, real: float | None) -> str:
    return f"{found.value:z.1f} (real {real:z.1f})"


def provenance(board: Leaderboard) -> list[tuple[str, str]]:
    """Name and value of what a result comes from; what is not recorded is said to be unknown.

    Of several runs what they have in common; `each_run` has the rest.
    """
    first, last = board.measured
    facts = [
        ("benchmark version", str(board.benchmark_version or "unknown")),
        ("measured", (first if first == last else f"{first} to {last}") or "unknown"),
        ("environment", environments(board)),
    ]
    every = [_of_run(run) for _, run in _runs(board)]
    return [*facts, *(fact for fact in every[0] if all(fact in one for one in every))]


def each_run(board: Leaderboard) -> list[tuple[str, list[tuple[str, str]]]]:
    """The name of each run with that part of its provenance in which not all agree; empty where one run makes the page."""
    every, common = _runs(board), provenance(board)
    several = [(name, [fact for fact in _of_run(run) if fact not in common]) for name, run in every]
    return several if len(every) > 1 else []


def _runs(board: Leaderboard) -> Sequence[tuple[str, RunFile]]:
    """Name and provenance of each run; the first one's alone where a board was made without its runs."""
    return board.runs or [("", board.provenance)]


def _of_run(run: RunFile) -> list[tuple[str, str]]:
    facts = [
        ("commit", _commit(run.get("code"))),
        ("profile", str(run.get("profile") or "unknown")),
        ("command", _command(run) or "unknown"),
        ("machine", ", ".join(f"{name} {value}" for name, value in (run.get("machine") or {}).items()) or "unknown"),
        ("packages", _packages(run.get("packages") or {})),
    ]
    told = words(run)  # which families the profile of the run does not measure, and why
    return [*((name, value or "unknown") for name, value in facts), *([("left out", told)] if told else [])]


def head_line(board: Leaderboard) -> list[str]:
    """What the first line says: version, date, commits, hours, command; what is not recorded is left out.

    A command that not all runs share stands with the provenance of its run.
    """
    versions, time = _versions(board), hours(board.rows)
    commands = {_command(run) for _, run in _runs(board)}
    parts = [
        f"solidmark {versions}" if versions else "solidmark",
        f"measured {_days(board)}" if board.measured[0] else "",
        ", ".join([*_so_many_runs(board), *_named("commit", [commit[:7] for commit in _commits(board)])]),
        f"{time:.1f} hours of computing" if time >= 0.05 else "",
        f"`{command}`" if len(commands) == 1 and (command := min(commands)) else "",
    ]
    return [part for part in parts if part]


def _command(run: RunFile) -> str:
    """What a shell takes: `-m 'not training'` has its quotes."""
    return shlex.join(run.get("arguments") or [])


def _so_many_runs(board: Leaderboard) -> list[str]:
    return [f"{len(board.runs)} runs"] if len(board.runs) > 1 else []


def _named(name: str, values: Sequence[str], apart: str = ", ") -> list[str]:
    """`commit a`, `commits a, b`; nothing without any."""
    return [f"{name}{'s' if len(values) > 1 else ''} {apart.join(values)}"] if values else []


def _commits(board: Leaderboard) -> list[str]:
    """The commits of all runs, each once."""
    codes = [run.get("code") for _, run in _runs(board)]
    return list(dict.fromkeys(commit for code in codes if code is not None and (commit := code.get("commit"))))


def _versions(board: Leaderboard) -> str:
    versions = [(run.get("packages") or {}).get("solidmark") for _, run in _runs(board)]
    return ", ".join(dict.fromkeys(version for version in versions if version))


def commits(board: Leaderboard) -> str:
    """`commit abc`, or `3 runs, commits abc; def, with changes that were not committed`."""
    told = dict.fromkeys(_commit(run.get("code")) for _, run in _runs(board))
    return ", ".join([*_so_many_runs(board), *_named("commit", [*told], "; ")])


def _days(board: Leaderboard) -> str:
    first, last = (day.partition("T")[0] for day in board.measured)
    return first if first == last else f"{first} to {last}"


def bibtex(board: Leaderboard) -> str:
    """How this board and the paper whose idea it builds on are cited."""
    names = " and ".join(facts.title for facts in board.testbeds)
    when = f"measured {_days(board)}" if board.measured[0] else ""
    told = (f"leaderboard of {names}" if names else "", when, *_named("commit", _commits(board)))
    note = ", ".join(part for part in told if part)
    version = _versions(board)
    fields = {
        "title": "{solidmark: which mitigations really stop an image diffusion model from memorizing its training images}",
        "author": "{{The solidmark developers}}",
        "version": f"{{{version}}}" if version else "",
        "year": f"{{{board.measured[1][:4]}}}" if board.measured[1] else "",
        "note": f"{{{note.translate(_PLAIN)}}}" if note else "",
    }
    lines = ",\n".join(f"  {name} = {value}" for name, value in fields.items() if value)
    return f"@software{{solidmark,\n{lines}\n}}\n{PAPER}"


_PLAIN = str.maketrans(dict.fromkeys("{}\\%#&$"))
"""Letters that mean something to BibTeX are left out of names."""

PAPER = """@article{solidmark-paper,
  title = {SolidMark: Evaluating Image Memorization in Generative Models},
  year = {2025},
  eprint = {2503.00592},
  archivePrefix = {arXiv}
}"""


def _commit(code: CodeBlock | None) -> str:
    if code is None:
        return "unknown"
    if not code.get("commit"):
        return str(code.get("reason") or "unknown")
    return f"{code['commit']}{', with changes that were not committed' if code.get('dirty') else ''}"


def _packages(packages: Mapping[str, str]) -> str:
    wanted = ("solidmark", "torch", "diffusers", "transformers", "numpy", "scipy", "scikit-learn")
    return ", ".join(f"{name} {packages[name]}" for name in wanted if name in packages)


def references(rows: tuple[Row, ...]) -> list[tuple[str, str]]:
    """Each family with its source."""
    return sorted({row.family: row.reference for row in rows if row.reference}.items())


def cells(table: Table[Row], columns: tuple[Column[Row], ...]) -> list[tuple[Row, list[Cell]]]:
    """Every row with its cells."""
    return [(row, [column.cell(row) for column in columns]) for row in table.rows]
