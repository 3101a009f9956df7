"""A run that goes on, and how a run ends: its options, the command that goes on, what was lost and what is told."""

import json
import os
from types import SimpleNamespace

import pytest
from record_samples import case, failed

from solidmark import __main__, plugins, records, timeouts
from solidmark.errors import DamagedFile, InvalidValue
from solidmark.leaderboard.render import render
from solidmark.runner.controller import Controller
from solidmark.runner.ending import Ending
from solidmark.runner.options import Options
from solidmark.runner.resume import Earlier, Selection, command
from solidmark.runner.session import Session


@pytest.fixture
def run(tmp_path):
    """A run of two records, begun for two seeds."""
    folder = tmp_path / "runs" / "mine"
    writer = records.Writer(folder)
    writer.write(case())
    writer.write(failed("rna", reason="no room"))
    options = {"profile": "quick", "seeds": "0,1", "testbeds": ["digits-quick"], "mitigations": [], "references": True}
    facts = {"benchmark_version": 1, "options": options, "selection": {"keyword": "rna or none"}}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def earlier(run):
    return Earlier.read(run.parent, str(run))


def test_a_run_goes_on_with_its_own_options_and_selection_and_leaves_out_what_is_done(run):
    found = earlier(run)
    assert found.go_on({}) == Options(seeds="0,1", testbeds=("digits-quick",))
    assert found.selection == Selection("rna or none")
    assert found.done == {case()["case_id"]}


def test_a_run_that_is_older_than_references_goes_on_without_them(run):
    facts = json.loads((run / "run.json").read_text())
    del facts["options"]["references"]
    (run / "run.json").write_text(json.dumps(facts))
    assert not earlier(run).options.references


@pytest.mark.parametrize("given", [{"seeds": "0-1"}, {"profile": "quick"}, {"testbeds": ("digits-quick",)}])
def test_an_option_that_says_the_same_is_accepted(run, given):
    assert earlier(run).go_on(given).seed_list() == (0, 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seeds": "0-2"}, "--seeds 0,1,2; expected 0,1, as"),
        ({"profile": "full"}, "--profile full; expected quick"),
        ({"mitigations": ("rna",)}, "--mitigation rna; expected none"),
        ({"queries": "outpaint"}, "--queries outpaint; expected None"),
        ({"solver": "ddim"}, "--solver ddim; expected fast"),
        ({"testbeds": ("mnist",)}, "--testbed mnist; expected digits-quick"),
    ],
)
def test_an_option_that_contradicts_is_refused(run, given, told):
    with pytest.raises(InvalidValue, match=told):
        earlier(run).go_on(given)


@pytest.mark.parametrize("facts", ["{", "[]", '{"options": {}}', '{"benchmark_version": 1, "options": 3}'])
def test_a_damaged_run_file_is_told(run, facts):
    (run / "run.json").write_text(facts)
    with pytest.raises(DamagedFile, match=r"run\.json"):
        earlier(run)


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["benchmark/", "-n", "auto"], "pytest benchmark/ -n auto --resume=runs/mine"),
        (["--run-dir", "runs/mine", "-k", "rna or gni"], "pytest -k 'rna or gni' --resume=runs/mine"),
        (["--resume", "runs/mine", "benchmark/"], "pytest benchmark/ --resume=runs/mine"),
        (["--solidmark-resume=x", "--resume", "-x"], "pytest -x --resume=runs/mine"),
    ],
)
def test_the_command_that_goes_on_is_the_first_one_with_resume(run, tmp_path, arguments, written):
    assert command(arguments, run, tmp_path) == written


class Terminal:
    """What is written to a terminal."""

    def __init__(self):
        self.lines = []
        self.section = self.write_line = self.lines.append


def finished(run, exitstatus, plan=(), ended=()):
    """The exit code of a session that ends so, and what it writes."""
    config = SimpleNamespace(
        invocation_params=SimpleNamespace(args=("benchmark/",), dir=run.parents[1]),
        pluginmanager=SimpleNamespace(get_plugin=lambda name: None),
    )
    controller = Controller(Session(Options(), run, frozenset({"done"}), progress="off"), config)
    controller._names |= records.announced.existing(run)
    (run / "plan.json").write_text(json.dumps({slug: {"case_id": slug, "slug": slug} for slug in plan}))
    controller._finished = set(ended)
    session, terminal = SimpleNamespace(exitstatus=exitstatus), Terminal()
    controller.pytest_sessionfinish(session)
    controller.pytest_terminal_summary(terminal, session.exitstatus)
    return session.exitstatus, "\n".join(terminal.lines)


def test_a_run_that_goes_on_and_finds_all_done_ends_well_and_shows_the_table(run):
    code, text = finished(run, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert (code, "0.880 [" in text, "go on with" in text) == (0, True, False)


def test_a_run_that_selected_nothing_has_not_found_all_done(run):
    assert finished(run, pytest.ExitCode.NO_TESTS_COLLECTED, plan=["a"], ended=["a"])[0] != 0


def test_an_interrupted_run_names_what_is_left_and_the_command(run):
    code, text = finished(run, pytest.ExitCode.INTERRUPTED, plan=["a"])
    assert code == pytest.ExitCode.INTERRUPTED
    assert "not measured, since the run ended before: a" in text
    assert "go on with: pytest benchmark/ --resume=runs/mine" in text


def test_a_case_whose_record_cannot_be_read_is_told_and_fails_the_run(run):
    code, text = finished(run, pytest.ExitCode.OK, plan=["a"], ended=["a"])
    assert (code, "measured, and its record cannot be read: a" in text) == (1, True)


def test_a_page_that_cannot_be_written_fails_the_run_and_the_table_is_shown(run):
    (run / "leaderboard.html").mkdir()
    code, text = finished(run, pytest.ExitCode.OK)
    assert (code, "0.880 [" in text) == (1, True)
    assert "page not written: " in text
    assert (run / "leaderboard.md").exists()


def test_a_leaderboard_that_cannot_be_built_fails_the_run_and_is_told(run, monkeypatch):
    monkeypatch.setattr("solidmark.leaderboard.render.build_leaderboard", lambda *_: 1 / 0)
    code, text = finished(run, pytest.ExitCode.OK)
    assert (code, "no page was written: ZeroDivisionError" in text) == (1, True)


def test_a_damaged_line_is_set_aside_in_the_pages_and_fails_the_report(run, capsys):
    with next((run / "records").iterdir()).open("a") as file:
        file.write("{}\n")
    assert __main__.main(["report", str(run)]) == 1
    assert f"set aside in {run}: records/" in capsys.readouterr().err
    page = (run / "leaderboard.md").read_text()
    assert "line 3: found" in page
    assert str(run) not in page


def test_a_damaged_run_file_costs_the_page_its_provenance_alone(run):
    (run / "run.json").write_text("{")
    rendered = render([run])
    assert rendered.faults == []
    assert [note for note in rendered.board.notes if note.startswith("run.json: found")]


def test_a_report_that_fails_is_named_and_the_others_are_written(run, monkeypatch):
    load = plugins.load
    monkeypatch.setattr(plugins, "load", lambda plugin: 1 if plugin.name == "csv" else load(plugin))
    assert [fault[:28] for fault in render([run]).faults] == ["page not written: report csv"]
    assert Ending.of(run).written


def test_a_case_that_its_process_did_not_end_is_noted_as_a_crash(run):
    note = run / "hangs" / "main.txt"
    note.parent.mkdir()
    note.write_text("slug-a\n999999999\n")
    (run / "plan.json").write_text(json.dumps({"slug-a": {"case_id": "a", "slug": "slug-a", "event": "case", "weight": 1}}))
    option = SimpleNamespace(numprocesses=None)
    for attempt in (1, 2):
        controller = Controller(Session(Options(), run, progress="off"), SimpleNamespace(option=option))
        note.write_text("slug-a\n999999999\n")
        controller._note_unended()
        crashes = [record for record in records.read(run).records if record["event"] == "crash"]
        assert sorted(crash["attempt"] for crash in crashes) == list(range(1, attempt + 1))
        assert controller._given_up == ["slug-a"] * (attempt == 2)


def test_a_note_is_there_while_a_case_lasts_and_stays_where_its_process_dies(tmp_path):
    note = tmp_path / "main.txt"
    with timeouts.exit_after(0, note, "mine"):
        assert timeouts.unended(tmp_path) == []  # this process lives
        if (child := os.fork()) == 0:
            with timeouts.exit_after(0, tmp_path / "gw0.txt", "theirs"):
                os._exit(0)
        os.waitpid(child, 0)
        assert timeouts.unended(tmp_path) == ["theirs"]
    assert list(tmp_path.iterdir()) == []
