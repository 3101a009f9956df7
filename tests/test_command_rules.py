"""Commands by small cases, with stated neighbours: what of the options is passed on where, what is told, how it ends."""

import json
import sys
from argparse import ArgumentParser
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from solidmark import pipelines
from solidmark.cli import collection as console
from solidmark.cli import show, terminal, watch
from solidmark.cli.watch import Ended, View
from solidmark.collection import ledger, loading, marking, measuring, questions, showing, unpacking
from solidmark.collection.painting import Style
from solidmark.collection.questions import Query
from solidmark.errors import InvalidValue
from solidmark.leaderboard.excess import CurveVerdict, Excess
from solidmark.schema.numbers import Estimate


def parsed(*words):
    parser = ArgumentParser()
    console.add(parser.add_subparsers())
    return parser.parse_args(list(map(str, words)))


# A collection


def part(split, copy_of=None):
    return SimpleNamespace(split=split, copy_of=copy_of)


ROWS = [part("trained"), part("trained", 0), part("trained"), part("held-out"), part("trained", 0)]


@pytest.mark.parametrize("stated", [True, False])
def test_a_marking_is_told_by_its_counts_and_gets_every_option(monkeypatch, capsys, tmp_path, stated):
    seen, unpacked = [], []
    monkeypatch.chdir(tmp_path)
    if not stated:
        Path("in").mkdir()
    monkeypatch.setattr(unpacking, "unpacked", lambda *words: unpacked.append(words) or nullcontext(Path("from a data set")))
    of = SimpleNamespace(rows=ROWS if stated else ROWS[2:4], commitment="abc")
    made = SimpleNamespace(ledger=of, uncaptioned=3 if stated else 0, same_caption=2 if stated else 0)
    made.left_out = {"x.png": "torn"} if stated else {}
    monkeypatch.setattr(marking, "mark", lambda *words, **more: seen.append((words, more)) or made)
    monkeypatch.setattr(console, "passphrase", lambda options: "secret")
    more = ["--ledger", "led", "--hold-out", 0.3, "--size", 9, "--keys", 5, "--thickness", 2, "--inside", "--workers", 4]
    more += ["--caption-column", "words", "--encrypt", "--image-column", "picture", "--split", "test"]
    code = console._mark(parsed("mark", "in", "here/out", *(more if stated else ())))
    ((words, named),) = seen
    folder = Path("led") if stated else Path("here/out.ledger")
    style = Style(5, 2, True, 9) if stated else Style(8, None, False, None)
    assert words == (Path("from a data set" if stated else "in"), Path("here/out"), folder, style)
    assert unpacked == ([("in", Path("led.unpacked"), "words", "picture", "test")] if stated else [])
    assert named.pop("progress").__name__ == "show"
    given = (0.3, "words", "secret", 4) if stated else (0.5, None, None, None)
    assert named == dict(zip(("hold_out", "caption_column", "passphrase", "workers"), given, strict=True))
    told = capsys.readouterr()
    copies = ["2 are copies of others: they share their keys, and are asked and counted once"]
    assert told.out.splitlines() == [
        f"{4 if stated else 1} images are marked in here/out: hand this folder out",
        f"1 are held out in {folder}/held_out: nobody may train on them",
        *([*copies, "3 have no caption: a model is asked for them without one"] if stated else []),
        "commitment abc",
        f"  publish {folder}/commitment.json before anybody trains",
        f"keep {folder} secret: whoever has it can forge answers",
    ]
    warned = "warning: 2 have the caption of another image: a model cannot tell them apart by it, so less memory is found"
    few = ("marked: no model can be measured by them", "held out: there is no control")
    lines = [f"warning: fewer than 3 distinct images are {lack}" for lack in few]
    lines = [warned, *lines, "x.png was left out: torn"] if stated else lines
    assert (code, told.err) == (int(stated), "".join(f"solidmark mark: {line}\n" for line in lines))


ASKED = ["measure", "--ledger", "led", "--marked", "out", "--into", "to"]
MORE = ["--steps", 7, "--guidance", 2.5, "--batch", 3, "--seed", 4, "--limit", 9, "--resolution", 64, "--content"]
MORE += ["--without-captions", "--lora", "l", "--device", "cuda", "--dtype", "float16", "--pipeline-class", "c"]
MORE += ["--pipeline-call", "f"]
QUERY = Query(
    steps=7, guidance=2.5, batch=3, seed=4, limit=9, resolution=64, content=True, captions=False
)  # every is the pipeline's


@pytest.fixture
def asked(monkeypatch):
    """Notes what is loaded and measured; the sound of each measurement is taken from a list."""
    seen = SimpleNamespace(loaded=[], measured=[], sound=[], outside=[], devices=[])

    def measure(*words):
        seen.measured.append(words)
        return {"sound": seen.sound[len(seen.measured) - 1], "number": len(seen.measured)}

    monkeypatch.setattr(measuring, "measure", measure)
    monkeypatch.setattr(loading, "load", lambda *words: seen.loaded.append(words) or ("pipe", "model"))
    monkeypatch.setattr(console, "opened", lambda options: f"collection of {options.ledger}")
    monkeypatch.setattr(console.terminal, "progress", lambda: "progress")
    monkeypatch.setattr(pipelines, "checked_device", seen.devices.append)
    monkeypatch.setattr(questions, "check_outside", lambda *words: seen.outside.append(words))
    return seen


@pytest.mark.parametrize(
    ("more", "loaded", "query", "sound"),
    [
        (MORE, ("m", Path("l"), "cuda", "float16", "c", "f"), QUERY, True),
        ([], ("m", None, "cpu", "float32", None, None), Query(), False),
    ],
)
def test_a_model_is_loaded_and_asked_as_the_options_say(asked, monkeypatch, capsys, more, loaded, query, sound):
    monkeypatch.setattr(showing, "lines", lambda record: f"lines of {record['number']}")
    asked.sound = [sound]
    assert console._measure(parsed(*ASKED, "--model", "m", *more)) == int(not sound)
    assert asked.loaded == [loaded]
    assert asked.measured == [("pipe", "model", "collection of led", query, Path("to"), "progress")]
    assert capsys.readouterr().out == "lines of 1\nwritten to to\n"
    assert (asked.devices, asked.outside) == ([loaded[2]], [(Path("to"), Path("out"), Path("led"))])


def test_a_measurement_goes_beside_the_ledger_unless_a_folder_is_named(asked, monkeypatch, capsys):
    monkeypatch.setattr(showing, "lines", lambda record: "lines")
    asked.sound = [True]
    assert console._measure(parsed("measure", "--model", "m", "--ledger", "a/b.ledger")) == 0
    assert asked.measured[0][4] == Path("a/b.measured")
    assert asked.outside == [(Path("a/b.measured"), Path("a/b"), Path("a/b.ledger"))]
    assert capsys.readouterr().out == "lines\nwritten to a/b.measured\n"


@pytest.mark.parametrize(("sound", "code"), [([True, True], 0), ([False, True], 1), ([True, False], 1)])
def test_each_checkpoint_has_a_folder_and_a_line_of_the_curve(asked, monkeypatch, tmp_path, capsys, sound, code):
    asked.sound = sound
    each = [(Path("all/step-5"), "pipe 5", "model 5"), (Path("all/step-9"), "pipe 9", "model 9")]
    given, written = [], []
    monkeypatch.setattr(loading, "each", lambda *words, lora: given.append((*words, lora)) or iter(each))
    monkeypatch.setattr(loading, "step_of", lambda path: int(path.name[-1]))
    monkeypatch.setattr(showing, "curve_rows", lambda found: [(name, step, one["number"]) for name, step, one in found])
    monkeypatch.setattr(showing, "as_csv", lambda rows: written.append(rows) or f"csv {rows}")
    monkeypatch.setattr(showing, "as_table", lambda rows: f"table {rows}")
    more = ["--device", "cuda", "--limit", 2, "--lora", "l", "--pipeline-class", "c", "--pipeline-call", "f"]
    assert console._measure(parsed(*ASKED[:-1], tmp_path, "--checkpoints", "all", *more)) == code
    assert given == [(None, Path("all"), "cuda", "float32", "c", "f", Path("l"))]
    places = [(*one[1:], "collection of led", Query(limit=2), tmp_path / one[0].name, "progress") for one in each]
    assert asked.measured == places
    rows = [("step-5", 5, 1), ("step-9", 9, 2)]
    assert written == [rows[:1], rows]
    assert (tmp_path / "curve.csv").read_text() == f"csv {rows}"
    assert capsys.readouterr().out == f"table {rows}\nwritten to {tmp_path}\n"
    assert asked.loaded == []


def test_a_measurement_of_nothing_is_refused():
    with pytest.raises(InvalidValue, match="solidmark measure: found no model"):
        console._measure(parsed(*ASKED))


@pytest.mark.parametrize(("file", "passphrase"), [(ledger.SEALED, "secret"), (ledger.PLAIN, None)])
def test_a_sealed_ledger_is_opened_by_its_passphrase_alone(monkeypatch, file, passphrase):
    monkeypatch.setattr(ledger, "manifest", lambda folder: {"file": file, "folder": folder})
    monkeypatch.setattr(ledger, "load", lambda *words: words)
    monkeypatch.setattr(console, "passphrase", lambda options: "secret")
    found = console.opened(parsed(*ASKED))
    assert (found.ledger, found.marked, found.folder) == ((Path("led"), passphrase), Path("out"), Path("led"))


# A run that goes on


def ended(slug, status="ok", t="1", m=None):
    return Ended(slug, status, t, m)


PLAN = {"a": {"weight": 6.0}, "b": {}, "c": {"weight": 3.0}}


def test_a_view_tells_counts_by_status_and_the_last_five_cases(tmp_path):
    each = [ended(f"s{n}", t=str(n), m=n / 10) for n in (3, 1, 2)]
    each += [ended("a", "error", "5"), ended("z", "timeout", "4"), ended("y", "timeout", "4"), ended("x", "bad", "0")]
    view = View(tmp_path, PLAN, tuple(each), 100.0)
    head, *last = view.lines(160.0)
    assert head == "1 of 3 cases, about 0:40 left (3 ok, 2 timeout, 1 bad, 1 error)"  # 6 of 10 parts in a minute
    assert last == ["  s2  M +0.200", "  s3  M +0.300", "  y  timeout", "  z  timeout", "  a  error"]
    assert (view.finished, view.is_over) == ({"a"}, False)
    painted = view.lines(160.0, colours=True)
    assert painted[0].startswith("[" + "█" * 18 + " " * 12 + "] 1 of 3 cases")
    assert (painted[1], painted[-1]) == ("  s2  \x1b[32mM +0.200\x1b[0m", "  a  \x1b[31merror\x1b[0m")


class Screen:
    """Notes what is written, and a `|` for each flush."""

    def __init__(self):
        self.told = ""

    def write(self, text):
        self.told += text

    def flush(self):
        self.told += "|"

    def isatty(self):
        return True


def test_lines_are_seen_at_once_over_those_that_were_written_before(monkeypatch):
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    assert (watch._draw(["a", "b"], 0), watch._draw(["c"], 2)) == (2, 1)
    assert screen.told == "a\nb\n|\x1b[2F\x1b[Jc\n|"
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    for done in (20, 21, 25):
        terminal.progress()("mark", done, 25)
    assert screen.told == "\rmark 20 of 25|\rmark 25 of 25\n|"


def test_a_run_without_a_plan_or_a_case_is_not_over_and_one_with_all_of_them_is(tmp_path):
    (told,) = View(tmp_path, {}, (), 0.0).lines(9.0, colours=True)
    assert told == "no plan.json, so that what is left is unknown: 0 records"
    assert not View(tmp_path, {}, (ended("a"),), 0.0).is_over
    whole = View(tmp_path, {"a": {}, "b": {}}, (ended("a"), ended("b", "error")), 0.0)
    assert whole.is_over
    assert whole.lines(60.0)[0] == "2 of 2 cases (1 ok, 1 error)"
    assert not View(tmp_path, {"a": {}, "b": {}}, (ended("a"), ended("z")), 0.0).is_over


def test_the_last_record_of_each_case_counts_and_what_is_none_is_passed_over(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    lead = {"one": {"memorization": {"value": 0.25}}, "two": {"memorization": {"value": 0.5}}}
    lines = [
        {"event": "case", "slug": "a", "status": "error", "t": "1"},
        {"event": "crash", "slug": "a", "status": "crashed", "t": "9"},
        {"event": "case", "slug": "b", "status": "ok", "t": "7", "queries": lead},
        {"event": "case", "status": "ok"}, [], None, {"event": "testbed", "slug": "t", "status": "ok", "queries": None},
    ]  # fmt: skip
    (folder / "z.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n{torn\n" + json.dumps(lines[0]))
    more = [{**lines[0], "status": "ok", "t": "2"}, {**lines[2], "status": "bad", "t": "6"}]
    (folder / "y.jsonl").write_text("\n".join(map(json.dumps, more)) + "\n")
    found = {one.slug: one for one in watch._ended(tmp_path)}
    assert found == {"a": ended("a", "ok", "2"), "b": ended("b", "ok", "7", 0.25), "t": ended("t", "ok", "")}
    for name in "gcfbeda":  # of the same time the first file counts
        (folder / f"{name}.jsonl").write_text(json.dumps({"event": "case", "slug": "x", "status": name, "t": "1"}) + "\n")
    assert {one.slug: one.status for one in watch._ended(tmp_path)}["x"] == "a"


def test_a_plan_that_is_torn_or_missing_is_none_that_begins_now(tmp_path, monkeypatch):
    (tmp_path / "run.json").write_text("{}")
    monkeypatch.setattr(watch.time, "time", lambda: 77.0)
    assert View.of(tmp_path) == View(tmp_path, {}, (), 77.0)
    (tmp_path / "plan.json").write_text("{torn")
    assert (View.of(tmp_path).plan, View.of(tmp_path).began) == ({}, 77.0)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    assert (View.of(tmp_path).plan, View.of(tmp_path).began) == (PLAN, (tmp_path / "plan.json").stat().st_mtime)


@pytest.mark.parametrize(
    ("seeds", "reason", "end"),
    [
        ((0,), "1 seed: an interval needs 3", "+0.100, 1 seed: an interval needs 3"),
        ((0, 1), "near", "+0.100, 2 seeds: near"),
    ],
)
def test_an_excess_tells_its_seeds_once(seeds, reason, end):
    found = Excess("a", "sampling", "b", "accuracy", "worst", seeds, Estimate(0.1), None, 1, CurveVerdict.UNDECIDED, reason)
    assert show._excess("keys", found) == f"  by keys: undecided, excess {end}"
