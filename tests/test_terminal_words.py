"""What a run and its commands write on a terminal changes on purpose alone: against `terminal.txt`.

`python tests/test_terminal_words.py` writes that file anew; read what changed in it before you commit it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import board_samples as boards
import pytest
from golden import Golden
from record_samples import case, content, failed, utility
from test_watch import PLAN

from solidmark.cli import compare, show
from solidmark.cli.watch import View
from solidmark.leaderboard import Leaderboard, build_leaderboard
from solidmark.leaderboard.differences import compare_runs
from solidmark.mitigation import Stage
from solidmark.records import Writer
from solidmark.runner import outlook as outlooks
from solidmark.runner import step_summary, timings
from solidmark.runner.board_table import tables
from solidmark.runner.controller import Controller
from solidmark.runner.ending import Ending
from solidmark.runner.options import Options
from solidmark.runner.session import Session

KEPT = Golden.beside(__file__, "terminal.txt")
BOARDS = (boards.both, boards.keys, boards.each, boards.beside, boards.bare)


def shown() -> Iterator[tuple[str, Callable[[], str]]]:
    """`solidmark show` of each kind of family; in colours of those that a verdict paints."""
    asked = {
        boards.both: "none stop washer unlinker honest agc bad gone x",
        boards.keys: "good worse lone refusal",
        boards.beside: "a gone",
    }
    for board, families in asked.items():
        for family in families.split():
            yield f"show {board.__name__} {family}", lambda board=board, family=family: show.told(board(), family)
    for family in ("washer", "stop"):
        yield f"show in colours {family}", lambda family=family: show.told(boards.both(), family, colours=True)


def sides() -> tuple[Leaderboard, Leaderboard]:
    """Two runs: what is better, worse, the same, undecided, lost, and on one side alone, on two testbeds."""

    def run(shift: float, right: int, extra: str, *more: dict) -> Leaderboard:
        three = [case(m=0.9 + shift * s / 50, seed=s, content=content(0.9 - shift, 0.8)) for s in range(3)]
        moved = [case("a(x=1)", 0.5 + shift + s / 100, s, "training", utility=utility(right)) for s in range(4)]
        lone = [case("b", 0.5 + shift / 2, stage="sampling"), case("b", 0.4, stage="sampling", testbed="other", case_id="o")]
        return build_leaderboard([*three, *moved, *lone, case(extra, stage="training"), *more])

    return run(0.0, 180, "before"), run(0.2, 120, "after", failed("c", reason="no room"))


def compared() -> Iterator[tuple[str, Callable[[], str]]]:
    """`solidmark compare` of two runs, both ways, and what it says for scripts."""

    def of(told: Callable[..., str], *, turned: bool = False, **options: bool) -> str:
        before, after = sides()[::-1] if turned else sides()
        with_c = build_leaderboard([case("c", 0.3, stage="training")])
        found = compare_runs((before, ()), (after, ()))
        return told(found, **options) + ("" if turned else f"\n{told(compare_runs((with_c, ()), (after, ())), **options)}")

    yield "compare", partial(of, compare.told)
    yield "compare turned, all of it", partial(of, compare.told, turned=True, everything=True)
    yield "compare in colours", partial(of, compare.told, colours=True)
    yield "compare for scripts", lambda: rounded(of(compare.as_json, turned=True))


def rounded(text: str) -> str:
    """JSON with six digits behind the point: the last ones may differ from machine to machine."""
    return json.dumps(json.loads(text, parse_float=lambda number: round(float(number), 6)), indent=1)


def watched() -> str:
    """`solidmark watch`: a run that goes on, in colours too; one of which nothing is planned; one that is over."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        (run / "run.json").write_text("{}")
        told = View.of(run).lines(100.0)
        for record in (case(), failed("rna"), *(failed(f"x{n}", status="timeout") for n in range(5))):
            Writer(run).write({**record, "t": f"2026-01-02T03:04:0{len(record['slug']) % 10}Z"})
        (run / "plan.json").write_text(json.dumps(PLAN))
        (run / "progress").mkdir()
        for n, (worker, of, t) in enumerate((("gw0", 600, 70.0), ("gw1", 0, 39.0), ("gw2", 5, 40.0))):
            state = {"worker": worker, "case": "digits-agc-s0", "action": "train", "done": 30 * n, "of": of, "t": t}
            (run / "progress" / f"{worker}.json").write_text(json.dumps(state))
        view = View.of(run)
        timed = View(view.run, view.plan, view.ended, 10.0)
        over = View(view.run, {slug: PLAN[slug] for slug in ("digits-none-s0", "digits-rna-s0")}, view.ended, 10.0)
        told += ["", *timed.lines(100.0), "", *timed.lines(100.0, colours=True), "", *over.lines(100.0, colours=True)]
    return "\n".join(told)


def foretold() -> str:
    """Lines of `--collect-only`: a testbed that tells what it takes, one that was timed, one that was not."""

    def told(*words: object) -> list[str]:
        return [" ".join(map(str, words))]

    def planned(
        testbed: str, family: str, weight: float, outlook: Callable[..., list[str]], stage: Stage
    ) -> SimpleNamespace:
        attacks = [(name, SimpleNamespace(cost=lambda solver, n=n: n)) for n, name in enumerate(("one", "two"), 100)]
        solver = SimpleNamespace(evaluations=25, __str__=lambda self: "fast")
        of_case = SimpleNamespace(
            testbed=SimpleNamespace(outlook=lambda *given: outlook(*given[:3], given[4])),
            composition=SimpleNamespace(stages=[stage]),
            queries=attacks,
            solver=solver,
            seed=0,
        )
        return SimpleNamespace(testbed=testbed, family=family, weight=weight, case=of_case, leads=False)

    cases = [planned("large", "a", 5.0, told, Stage.TRAINING), planned("large", "b", 1.0, told, Stage.POST_HOC)]
    cases += [
        planned(name, f, w, lambda *_: [], Stage.SAMPLING) for name in ("timed", "new") for f, w in (("a", 5.0), ("b", 1.0))
    ]
    cases.append(SimpleNamespace(testbed="broken", family="c", weight=1.0, case=None))
    with tempfile.TemporaryDirectory() as folder:
        seconds = {"families": {"a": 100.0, "b": 4000.0}, "training": {"a": 3000.0}, "peak_bytes": 2.5e9, "bytes": 3e6}
        (Path(folder) / timings.FILE).write_text(json.dumps({"timed": seconds}))
        with (
            mock.patch.object(outlooks, "torch_device", return_value="cpu"),
            mock.patch.object(outlooks, "stored_bytes", return_value=12e6),
        ):
            return "\n".join(outlooks.outlook(cases, Path(folder)))


def headed() -> str:
    """Head lines of runs, and the markers that select."""
    run = Path("runs/mine")
    plain = Session(Options(), run)
    part = Options(
        profile="standard", testbeds=("digits", "mnist"), solver="ddim", shard="2/8", mitigations=("rna+agc(x=1)",)
    )
    further = Session(part, run, frozenset("abc"))
    return "\n".join([*plain.header(), *further.header(), *further.markers()[:1], *further.markers()[-4:]])


class Terminal:
    """A reporter of pytest that keeps what is written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str) -> None:
        self.lines.append(f"== {title}")

    def write_line(self, text: str) -> None:
        self.lines.append(text)


def ended() -> str:
    """The end of a run: nothing, a table with its page, faults, and how to go on after an interruption."""
    told = Terminal()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "runs" / "mine"
        run.mkdir(parents=True)
        (run / "run.json").write_text("{}")
        where = SimpleNamespace(args=("benchmark/", "-n", "2", "--run-dir", "x", "-k", "a b"), dir=folder)
        config = SimpleNamespace(invocation_params=where)
        pages = [Path("leaderboard.md"), Path("leaderboard.html")]
        endings = [Ending(), Ending(pages, "the table"), Ending(pages[:1], "", ["no page was written: it broke"])]
        for ending in endings:
            for status, unmeasured in ((0, []), (2, []), (3, []), (1, ["a", "b"])):
                controller = Controller(Session(Options(), run, progress="off"), config)
                controller._ending, controller._unmeasured = ending, unmeasured
                told.lines.append(f"-- {len(ending.written)} pages, exit status {status}, {len(unmeasured)} unmeasured")
                controller.pytest_terminal_summary(told, status)
    return "\n".join(told.lines)


TEXTS: dict[str, Callable[[], str]] = {
    **{f"table {one.__name__}": lambda one=one: tables(one()) for one in BOARDS},
    "table in colours": lambda: tables(boards.both(), colours=True),
    **{f"step summary {one.__name__}": lambda one=one: step_summary.summary(one()) for one in BOARDS},
    **dict(shown()),
    **dict(compared()),
    "watch": watched,
    "outlook": foretold,
    "head": headed,
    "end": ended,
}


def plain(text: str) -> str:
    """A text in which the codes of colours can be read."""
    return text.replace("\x1b", "ESC")


@pytest.mark.parametrize("name", KEPT.names)
def test_a_text_says_what_it_said(name: str) -> None:
    KEPT.check(name, plain(TEXTS[name]()))


def test_every_text_is_kept() -> None:
    assert KEPT.names == list(TEXTS)


if __name__ == "__main__":
    KEPT.write({name: plain(made()) for name, made in TEXTS.items()})
