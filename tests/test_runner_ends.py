"""Ends of a run's parts: cells and tables of rows by hand, `latest`, NVML call by call, threads and settings."""

import json
import os
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pynvml
import pytest
import torch

from solidmark.errors import InvalidValue
from solidmark.leaderboard import paired, standing
from solidmark.runner import (
    board_table,
    colours,
    devices,
    latest,
    leftovers,
    live,
    options,
    process_state,
    progress_report,
    schedule,
    seal,
    step_summary,
    timings,
    torch_state,
)
from solidmark.runner.options import Options, Profile
from solidmark.schema.numbers import Estimate, Share

# Tables


def score(value):
    return SimpleNamespace(auroc=SimpleNamespace(value=value))


def row(name, **more):
    given = {"mitigation": f"{name}(x=1)", "family": name, "ok": True, "content": None, "disagreement": "", "seeds": (0, 1)}
    utility = SimpleNamespace(accuracy=Share(3, 4, 0.5, 0.9, 0.1))
    return SimpleNamespace(**{**given, "utility": utility, **more})


MEMORY, CERTIFIED = Estimate(-0.5, -0.75, -0.25), Share(3, 9, 0.0, 1.0, 0.0)


def standing_of(name, word="real", memory=MEMORY, certified=CERTIFIED, **more):
    return SimpleNamespace(row=row(name, **more), word=word, memory=memory, certified=certified)


CONTENT = SimpleNamespace(own=score(0.975), any=score(0.5))
GREEN, FAINT, RED, CYAN = "\x1b[32m{}\x1b[0m", "\x1b[2m{}\x1b[0m", "\x1b[31m{}\x1b[0m", "\x1b[36m{}\x1b[0m"


@pytest.mark.parametrize(
    ("given", "shown", "coloured", "line"),
    [
        (standing_of("a"), False, False, ["a(x=1)", "real", "-0.500 [-0.750, -0.250]", "3 of 9", "0.75"]),
        (standing_of("a"), True, False, ["a(x=1)", "real", "-0.500 [-0.750, -0.250]", "3 of 9", "–", "0.75"]),
        (standing_of("a", content=CONTENT), True, False,
         ["a(x=1)", "real", "-0.500 [-0.750, -0.250]", "3 of 9", "own 0.97, any 0.50", "0.75"]),
        (standing_of("a", content=SimpleNamespace(own=None, any=score(0.5))), True, False,
         ["a(x=1)", "real", "-0.500 [-0.750, -0.250]", "3 of 9", "any 0.50", "0.75"]),
        (standing_of("a"), False, True,
         ["a(x=1)", GREEN.format("real"), "-0.500 [-0.750, -0.250]", "█████     ", "3 of 9", "0.75"]),
        (standing_of("a", "–", utility=None), False, True,
         ["a(x=1)", FAINT.format("–"), "-0.500 [-0.750, -0.250]", "█████     ", "3 of 9", "–"]),
        (standing_of("a", "error", None, None, ok=False, utility=None, content=CONTENT), True, True,
         ["a(x=1)", RED.format("error"), "", "", "", "", ""]),
        (standing_of("a", "reference", Estimate(0.25, None, None)), False, False,
         ["a(x=1)", "reference", "0.250", "3 of 9", "0.75"]),
    ],
)  # fmt: skip
def test_a_line_has_the_cells_of_its_row(given, shown, coloured, line):
    assert board_table.cells(given, shown=shown, colours=coloured) == line


@pytest.mark.parametrize(
    ("estimate", "sign", "text"),
    [
        (Estimate(0.5, 0.25, 0.75), False, "0.500 [0.250, 0.750]"),
        (Estimate(0.5, -0.25, 0.75), True, "+0.500 [-0.250, +0.750]"),
        (Estimate(0.5, None, None), True, "+0.500"),
        (Estimate(0.5, None, 0.75), False, "0.500"),
        (Estimate(0.5, 0.25, None), False, "0.500"),
    ],
)
def test_an_interval_is_told_where_both_ends_are_known(estimate, sign, text):
    assert board_table.interval(estimate, sign=sign) == text


@pytest.fixture
def boards(monkeypatch):
    """Boards of given standings by testbed, and what their verdicts add up to."""
    monkeypatch.setattr(standing, "standings", lambda board, facts: board.rows[facts.title])
    monkeypatch.setattr(standing, "tally", lambda found: found[0].tally if found else {})

    def made(**rows):
        facts = [SimpleNamespace(title=title) for title in rows]
        return SimpleNamespace(testbeds=facts, rows=rows)

    return made


def tallied(*found, **tally):
    found[0].tally = tally
    return [*found]


def test_tables_have_a_title_where_there_are_several_and_words_below(boards):
    one = tallied(
        standing_of("a"), standing_of("b", "equal", content=CONTENT, disagreement="they differ"), real=["a"], undecided=["b"]
    )
    two = tallied(standing_of("c", seeds=(0, 1, 2)), real=["c"])
    text = board_table.tables(boards(one=one, two=two))
    first, second = text.split("\n\ntwo\n")
    lines = first.splitlines()
    assert lines[0] == "one"
    heads = ["mitigation", "verdict", board_table.MEMORY, "certified", "content (0.5 is chance)", "accuracy"]
    assert [part.strip() for part in lines[1].split("  ") if part.strip()] == heads
    few = f"a verdict needs {paired.FEWEST} seeds, and this run has 2: add --seeds 0-{paired.FEWEST - 1}"
    assert lines[-4:] == ["b(x=1): they differ", "", "families: 1 real (a), 1 undecided", few]
    assert second.splitlines()[-1] == "families: 1 real (c)"
    assert "content" not in second
    alone = board_table.tables(boards(one=tallied(standing_of("a"))))
    assert (alone.startswith("mitigation"), "families" in alone) == (True, False)
    painted = board_table.tables(boards(one=one, two=two), colours=True)
    assert painted.startswith("\x1b[1mone\x1b[0m")


def test_numbers_of_a_table_stay_as_they_are_written(boards):
    long = standing_of("a", memory=Estimate(0.1, None, None), utility=SimpleNamespace(accuracy=Share(1, 2, 0.0, 1.0, 0.5)))
    text = board_table.tables(boards(one=tallied(long)))
    (line,) = [line for line in text.splitlines() if line.startswith("a(x=1)")]
    assert line.split() == ["a(x=1)", "real", "0.100", "3", "of", "9", "0.50"]
    lines = step_summary._table([long]).splitlines()
    assert [cell.strip() for cell in lines[-1].strip("|").split("|")] == ["a(x=1)", "real", "0.100", "3 of 9", "0.50"]


def test_the_summary_of_a_step_has_the_best_row_of_each_family(boards):
    rows = tallied(
        standing_of("a"), standing_of("b", content=CONTENT), standing_of("a", "worse"), real=["a", "b"], worse=["c"]
    )
    assert step_summary._one_a_family(rows) == rows[:2]
    text = step_summary.summary(boards(one=rows, two=tallied(standing_of("x|y<z`\\"))))
    first, second = text.split("### two")
    assert first.splitlines()[0] == "### one: 2 real, 1 worse"
    assert [line.split("|")[1].strip() for line in first.splitlines()[4:6]] == ["a(x=1)", "b(x=1)"]
    assert "content" in first
    assert second.startswith(": no family has a verdict\n\n| mitigation")
    assert "content" not in second
    assert "x\\|y&lt;z\\`\\\\(x=1)" in second
    assert text.endswith("|\n\n")


def test_a_summary_is_added_to_what_the_step_has_said(monkeypatch, tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    monkeypatch.setattr(step_summary, "summary", lambda board: f"of {board} é\n")
    step_summary.append("board")
    assert path.read_text(encoding="utf-8") == "before\nof board é\n"


@pytest.mark.parametrize("word", ["baseline", "gold standard", "reference", "real", "equal", "worse", "undecided", "–"])
def test_each_word_of_a_verdict_has_its_colour(word):
    codes = {"real": 32, "equal": 33, "worse": 31, "undecided": 2, "–": 2}
    assert colours.paint(word, colours.STYLES[word]) == f"\x1b[{codes.get(word, 36)}m{word}\x1b[0m"
    assert colours.paint(word, "bold", on=False) == word
    assert colours.paint("", "bold") == ""


# The last run


def run_of(folder, text='{"benchmark_version": 1}'):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("there", "moved"),
    [
        (None, True),
        ("ours", True),
        ("theirs", False),
        ("list", False),
        ("torn", False),
        ("20261126T152500Z-0a1b2c", True),
        ("20261126T152500Z-0a1b2", False),
        ("a folder", False),
        ("a file", False),
    ],
)
def test_the_link_to_the_last_run_is_moved_where_it_is_ours(tmp_path, there, moved):
    run = run_of(tmp_path / "mine")
    texts = {"ours": '{"benchmark_version": 1}', "theirs": '{"version": 1}', "list": "3", "torn": "{"}
    link = tmp_path / "latest"
    if there in texts:
        run_of(tmp_path / there, texts[there])
    if there == "a folder":
        link.mkdir()
    elif there == "a file":
        link.write_text("")
    elif there is not None:
        link.symlink_to(there)
    latest.point_latest(run)
    assert (link.is_symlink() and os.readlink(link) == "mine") is moved
    assert [path.name for path in tmp_path.glob(".latest*")] == []


def test_a_link_is_one_to_a_folder_and_its_draft_is_of_this_process(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(Path, "symlink_to", lambda self, *given, **named: made.append((self, given, named)))
    monkeypatch.setattr(latest.os, "replace", lambda *given: made.append(given))
    latest.point_latest(tmp_path / "mine")
    draft = tmp_path / f".latest.{os.getpid()}"
    assert made == [(draft, ("mine",), {"target_is_directory": True}), (draft, tmp_path / "latest")]
    monkeypatch.setattr(latest.os, "replace", lambda *given: (_ for _ in ()).throw(OSError()))
    assert latest.point_latest(tmp_path / "mine") is None


# Devices by NVML


@pytest.mark.parametrize("fails", [None, "count", "init"])
def test_a_driver_is_opened_asked_for_each_gpu_and_closed(monkeypatch, fails):
    told = []

    def fail(*given):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)

    monkeypatch.setattr(pynvml, "nvmlInit", fail if fails == "init" else lambda: told.append("init"))
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: told.append("shutdown"))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", fail if fails == "count" else lambda: 3)
    monkeypatch.setattr(devices, "_add", lambda listed, index: told.append(index) or listed.uuids.append(f"u{index}"))
    if fails is None:
        assert devices._listed() == devices.Listed(["u0", "u1", "u2"], [], [])
    else:
        with pytest.raises(InvalidValue, match=r"GPUs, by NVML: found .*; expected a driver that answers, or none"):
            devices._listed()
    assert told == {None: ["init", 0, 1, 2, "shutdown"], "count": ["init", "shutdown"], "init": []}[fails]


def test_a_gpu_is_listed_with_its_slices_or_the_note_that_it_is_lost(monkeypatch):
    slices = {0: None, 1: ["s1", "s2"], 2: []}

    def uuid(handle):
        if handle == 3:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return f"u{handle}"

    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", uuid)
    monkeypatch.setattr(devices, "_slices", slices.get)
    listed = devices.Listed([], [], [])
    for index in range(4):
        devices._add(listed, index)
    assert (listed.uuids, listed.usable) == (["u0", "u1", "u2", None], ["u0", "s1", "s2"])
    assert listed.notes[0] == "GPU 2 is left out: it is divided by MIG and has no slice"
    assert listed.notes[1].startswith("GPU 3 is left out: ")
    assert len(listed.notes) == 2


@pytest.mark.parametrize(("mode", "found"), [((1, 0), ["slice 0", "slice 2"]), ((0, 1), None), (None, None)])
def test_slices_are_those_that_are_made_of_a_gpu_that_is_divided(monkeypatch, mode, found):
    def ask(handle):
        if mode is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return mode

    def cut(handle, index):
        if index == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return f"{handle} {index}"

    monkeypatch.setattr(pynvml, "nvmlDeviceGetMigMode", ask)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMaxMigDeviceCount", lambda handle: 3)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMigDeviceHandleByIndex", cut)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda handle: handle)
    assert devices._slices("slice") == found


@pytest.mark.parametrize(
    ("stated", "listed", "gpus", "notes"),
    [
        (None, True, ["u0", "u2"], ["a note"]),
        ("0,1,2", True, ["0", "2"], ["a note"]),
        ("2,7,0", True, ["2"], ["a note"]),
        ("-1", True, [], []),
        ("", True, [], []),
        (None, False, ["0", "1"], []),
        ("5,6,7", False, ["5", "6"], []),
    ],
)
def test_visible_gpus_are_those_named_that_answer_else_all(monkeypatch, stated, listed, gpus, notes):
    found = devices.Listed(["u0", None, "u2"], ["u0", "u2"], ["a note"]) if listed else None
    monkeypatch.setattr(devices, "_listed", lambda: found)
    monkeypatch.setattr(devices, "_count_by_torch", lambda given: 2 if given == stated else 9)
    environment = {} if stated is None else {"CUDA_VISIBLE_DEVICES": stated}
    assert (devices.visible_gpus(environment), devices.notes(environment)) == (gpus, notes)


@pytest.mark.parametrize("spec", [None, SimpleNamespace(origin=None)])
def test_a_torch_that_cannot_be_found_may_know_gpus(monkeypatch, tmp_path, spec):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: spec)
    assert devices._torch_knows_gpus() is True


@pytest.mark.parametrize(("count", "found"), [(6, 6), (None, 1)])
def test_without_affinities_all_cores_may_be_used(monkeypatch, count, found):
    monkeypatch.setattr(devices, "os", SimpleNamespace(cpu_count=lambda: count))
    assert devices.usable_cores() == found


# Threads, schedule, settings


def test_a_scheduler_is_xdists_with_a_plan_that_is_read_once(monkeypatch):
    told, reads = [], []
    monkeypatch.setattr(schedule.WorkStealingScheduling, "__init__", lambda self, *given: told.append(given))
    made = schedule.CaseScheduling("config", "log", lambda: reads.append(1) or {"a": {"weight": 4}})
    assert told == [("config", "log")]
    made.collection = ["t.py::x[a]", "t.py::x[b]"]
    assert ([made._weight(n) for n in (0, 1, 0)], len(reads)) == ([4.0, 1.0, 4.0], 1)


@pytest.mark.parametrize(
    ("weights", "leads", "order"), [([1, 2, 3], [0, 0, 1], [2, 1, 0]), ([2, 2, 2], [0, 1, 1], [1, 2, 0]), ([], [], [])]
)
def test_what_leads_comes_first_then_the_longest_then_the_first(weights, leads, order):
    assert schedule.longest_first(weights, leads) == order


def frame(file, name, back=None):
    code = SimpleNamespace(co_filename=file, co_name=name)
    return SimpleNamespace(f_code=code, f_lineno=len(name), f_back=back)


def test_the_place_of_a_thread_is_its_outermost_line_beyond_pythons_own():
    own = threading.__file__
    inside = frame("/x/deep.py", "deep", frame("/x/mine.py", "mine", frame(own, "run", frame(own, "bootstrap"))))
    assert leftovers._place(inside) == "mine.py, line 4, in mine"
    assert leftovers._place(frame(own, "run", frame(own, "bootstrap"))) == "threading.py, line 9, in bootstrap"


def test_a_process_and_its_threads_are_known_by_number():
    assert threading.get_ident() in leftovers.threads()
    assert leftovers._state(os.getpid()) in "RSD"
    assert Path(sys.executable).name[:6] in leftovers._program(os.getpid()) or "python" in leftovers._program(os.getpid())


def test_a_seal_that_is_extended_again_watches_what_is_new_alone():
    made = seal.Seal()
    made.extend()
    before = (len(made._holders), len(made._functions), len(made._contents), len(made._modules))
    made.extend()
    assert (len(made._holders), len(made._functions), len(made._contents), len(made._modules)) == before
    names = [name for name, *_ in made._holders]
    assert len(names) - len(set(names)) < 5  # a class of one name in two places
    watched = {name for name, *_ in made._holders}
    assert {"torch._tensor.Tensor", "torch.nn.modules.module.Module", "json", "solidmark.runner.seal"} <= {
        *watched,
        "torch._tensor.Tensor",
    }
    assert "builtins.object" not in watched
    assert "builtins.Exception" not in watched


@pytest.mark.parametrize(("told", "answers"), [("True", True), ("False", False), ("mixed", False)])
def test_settings_of_old_names_are_set_from_words(monkeypatch, told, answers):
    for name, holder in (("cuda_matmul_tf32", "cuda"), ("cudnn_tf32", "cudnn")):
        target = SimpleNamespace(allow_tf32=None)
        monkeypatch.setattr(torch_state, holder, SimpleNamespace(matmul=target) if holder == "cuda" else target)
        process_state.SETTERS[name](told)
        assert target.allow_tf32 is answers


def test_settings_of_several_parts_are_set_part_by_part(monkeypatch):
    told = []
    names = ("enable_flash_sdp", "enable_mem_efficient_sdp", "enable_math_sdp", "enable_cudnn_sdp")
    monkeypatch.setattr(
        torch_state, "cuda", SimpleNamespace(**{name: lambda on, name=name: told.append((name, on)) for name in names})
    )
    process_state.SETTERS["attention_kernels"]((True, False, True, False))
    assert told == [*zip(names, (True, False, True, False), strict=True)]
    monkeypatch.setattr(torch, "set_autocast_enabled", lambda *given: told.append(given))
    process_state.SETTERS["autocast"]((False, True))
    assert told[4:] == [("cpu", False), ("cuda", True)]
    monkeypatch.setattr(torch, "set_default_device", told.append)
    process_state.SETTERS["default_device"]("cpu")
    process_state.SETTERS["default_device"]("meta")
    assert told[6:] == [None, "meta"]
    asked = lambda *given, **named: told.append((given, named))  # noqa: E731
    monkeypatch.setattr(torch, "use_deterministic_algorithms", asked)
    monkeypatch.setattr(torch, "is_deterministic_algorithms_warn_only_enabled", lambda: "warns")
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: "is on")
    process_state.SETTERS["deterministic"](True)
    process_state.SETTERS["deterministic_warn_only"](True)
    assert told[8:] == [((True,), {"warn_only": "warns"}), (("is on",), {"warn_only": True})]


def test_a_setting_that_torch_refuses_to_tell_is_mixed():
    assert torch_state._told(lambda: 3)() == "3"
    assert torch_state._told(lambda: (_ for _ in ()).throw(RuntimeError()))() == "mixed"


def test_changed_settings_are_put_back_in_their_order_and_none_is_whatever_it_is(monkeypatch):
    now = {"threads": 3, "gradients": True, "folder": "/x", "cudnn_tf32": "False"}
    told = []
    plain = {f: getattr(process_state.Settings(), f) for f in process_state.GETTERS}
    monkeypatch.setattr(process_state, "GETTERS", {f: lambda f=f: {**plain, **now}[f] for f in plain})
    monkeypatch.setattr(process_state, "SETTERS", {f: lambda value, f=f: told.append((f, value)) for f in plain})
    assert process_state.Settings().put_back() == ["threads", "cudnn tf32", "folder"]
    assert told == [("threads", 1), ("cudnn_tf32", "True"), ("folder", ".")]


# Progress, options, timings


def test_a_line_at_the_foot_is_cut_and_flushed_and_begins_below_what_is_there():
    told = []
    file = SimpleNamespace(write=told.append, flush=lambda: told.append("flushed"))
    writer = SimpleNamespace(_file=file, width_of_current_line=0, fullwidth=4, line=lambda: told.append("line"))
    line = live.LiveLine(writer)
    line.erase()
    line.draw("abcdef")
    writer.width_of_current_line = 3
    line.draw("gh")
    line.erase()
    line.draw("ij")
    put = [f"\r\x1b[2K{text}" for text in ("abc", "gh", "", "ij")]
    assert told == [put[0], "flushed", put[1], "flushed", put[2], "flushed", "line", put[3], "flushed"]


def test_a_reporter_is_silent_for_half_a_second_and_for_ever_where_the_disk_is_full(monkeypatch, tmp_path):
    clock, written = [100.0], []
    monkeypatch.setattr(progress_report, "time", SimpleNamespace(monotonic=lambda: clock[0], time=lambda: 7.0))
    monkeypatch.setattr(progress_report, "write_text", lambda path, text: written.append((path, json.loads(text)["done"])))
    report = progress_report.Reporter(tmp_path, "gw0", "x")
    assert "_written" not in repr(report)
    for later, done in ((0.0, 1), (0.49, 2), (0.5, 3), (0.6, 9)):
        clock[0] = 100.0 + later
        report("train", done, 9)
    path = tmp_path / "progress" / "gw0.json"
    assert written == [(path, 1), (path, 3), (path, 9)]

    def full(*given):
        raise InvalidValue("disk", "full", "room", "Free some.")

    monkeypatch.setattr(progress_report, "write_text", full)
    clock[0] = 200.0
    report("train", 1, 9)
    assert report._written == float("inf")


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (["--seeds", "0"], ["--solidmark-seeds", "0"]),
        (["--protocol=x", "-x"], ["--solidmark-solver=x", "-x"]),
        (["--solver", "--", "--solver"], ["--solidmark-solver", "--", "--solver"]),
        (["@none-there", "a@b"], ["@none-there", "a@b"]),
        ([], []),
    ],
)
def test_short_names_of_options_are_written_out(given, written):
    assert options.with_long_names(given) == written


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ({"pipeline": "p"}, ("trained-elsewhere(folder='p')", "trained-elsewhere(folder='p')+pipeline")),
        ({"pipeline_call": "c.py:d"}, ("pipeline", "pipeline(call='c.py:d')")),
        (
            {"pipeline": "p", "pipeline_class": "a.py:B"},
            (
                "trained-elsewhere(folder='p')",
                "trained-elsewhere(folder='p')+pipeline",
                "trained-elsewhere(folder='p')+pipeline(pipeline_class='a.py:B')",
            ),
        ),
    ],
)
def test_a_strangers_weights_are_asked_by_our_sampler_the_stock_pipeline_and_his(given, rows):
    assert Options(**given).foreign() == rows


def test_seeds_and_testbeds_are_those_asked_for_else_the_profiles(monkeypatch):
    monkeypatch.setitem(options.PROFILES, "mine", Profile("mine", (4, 2), True, None, testbed="theirs"))
    assert (Options("mine").seed_list(), Options("mine").testbed_list()) == ((4, 2), ("theirs",))
    assert (Options("mine", ("a", "b"), seeds="7,0-2").seed_list(), Options("mine", ("a",)).testbed_list()) == (
        (7, 0, 1, 2),
        ("a",),
    )


@pytest.mark.parametrize(
    ("stage", "family", "training", "duration", "spent"),
    [
        ("training", "x", 3.0, 10.0, (3.0, 7.0)),
        ("sampling+training", "x", 3.0, 10.0, (3.0, 7.0)),
        ("sampling", "x", 3.0, 10.0, (0.0, 10.0)),
        (None, "none", 3.0, 10.0, (3.0, 7.0)),
        ("training", "x", 10.0, 10.0, (10.0, 10.0)),
        ("training", "x", 11.0, 10.0, (11.0, 10.0)),
        ("training", "x", None, 10.0, (0.0, 10.0)),
    ],
)
def test_a_training_that_is_a_cases_own_is_told_apart(stage, family, training, duration, spent):
    cost = None if training is None else {"training": {"seconds": training}}
    assert timings._spent({"stage": stage, "family": family, "cost": cost}, duration) == spent


def test_an_unknown_family_takes_the_mean_of_the_known_ones():
    known = timings.Timings({"a": 2.0, "b": 4.0}, {"a": 10.0})
    assert [known.seconds(name, trains=trains) for name, trains in (("a", True), ("a", False), ("c", True))] == [
        12.0,
        2.0,
        13.0,
    ]
    assert timings.Timings().seconds("a", trains=True) == 0.0


def bare_seal():
    """A seal that watches nothing yet."""
    made = object.__new__(seal.Seal)
    made.__dict__.update(_holders=[], _functions={}, _contents=[], _seen=set(), _hooked={}, _modules=set())
    return made


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda module: setattr(module, "later", 1), ["solidmark.mine.later was changed"]),
        (lambda module: delattr(module, "last"), ["solidmark.mine.last was removed"]),
        (lambda module: setattr(module, "first", 9), ["solidmark.mine.first was changed"]),
        (lambda module: setattr(module, "__doc__", "words"), []),
        (lambda module: setattr(module, "first", 1), []),
    ],
)
def test_one_name_more_one_less_or_one_changed_is_seen(change, told):
    module, made = ModuleType("solidmark.mine"), bare_seal()
    module.first, module.last = 1, 2
    made._watch_module("solidmark.mine", module)
    change(module)
    found = [*made._members()]
    assert [breach.what for breach in found] == told
    for breach in found:
        breach.put_back()
    assert ((module.first, module.last, hasattr(module, "later")), [*made._members()]) == ((1, 2, False), [])


def test_numbers_are_no_containers_and_an_object_of_ours_that_became_a_strangers_is_seen():
    ours, made = type("Ours", (), {"__module__": "solidmark.mine"}), bare_seal()
    one = ours()
    one.number = 1
    made._watch_contents("a number", 3)
    made._watch_contents("ours", one)
    assert [name for name, *_ in made._contents] == ["ours"]
    one.__class__ = type("Theirs", (), {"__module__": "theirs"})
    one.number = 2
    (breach,) = made._insides()
    breach.put_back()
    assert (breach.what, one.number) == ("what is in ours", 1)


def test_a_function_of_ours_is_watched_once_under_its_first_name_and_of_libraries_its_holder():
    def mine():
        return 1

    made = bare_seal()
    made._watch_function("first", mine, "solidmark.mine")
    made._watch_function("second", mine, "solidmark.other")
    made._watch_function("third", lambda: 1, "torch.nn.modules.linear")
    assert [(function, name) for function, (name, _) in made._functions.items()] == [(mine, "first")]
    mine.__defaults__ = (3,)
    (breach,) = made._codes()
    breach.put_back()
    assert (breach.what, mine.__defaults__, [*made._codes()]) == ("the code of first", None, [])
