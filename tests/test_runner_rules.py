"""Small parts of a run by themselves: the watch, what is sealed, devices, schedule, ending, session, each without a run."""

import json
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from solidmark.errors import InvalidValue, UnknownName
from solidmark.runner import colours, devices, ending, leftovers, progress_report, resume, seal, step_summary, watch
from solidmark.runner import session as sessions
from solidmark.runner.ending import Ending
from solidmark.runner.options import PROFILES, Options
from solidmark.runner.resume import Earlier, Selection
from solidmark.runner.schedule import CaseScheduling
from solidmark.runner.seal import MISSING, Breach, Seal
from solidmark.runner.session import Session
from solidmark.runner.watch import Watch

# The watch


class Store:
    def __init__(self, *built):
        self.built, self.aside = [*built], []

    def set_aside(self, name, why):
        self.aside.append((name, why))


@pytest.fixture
def watched(monkeypatch):
    """A watch whose seal, threads and data say what the test sets."""
    found = SimpleNamespace(seal=[], running=[], data=[], shared=[])
    breaches = lambda name: SimpleNamespace(breaches=lambda: list(getattr(found, name)))  # noqa: E731
    sealed = breaches("seal")
    sealed.extend = lambda *shared: found.shared.append(shared)
    monkeypatch.setattr(watch, "Seal", lambda: sealed)
    monkeypatch.setattr(watch, "Running", lambda: breaches("running"))
    monkeypatch.setattr(watch, "Data", lambda testbed: found.shared.append(testbed) or breaches("data"))
    found.store = Store("before")
    found.watch = Watch(found.store)
    found.watch.begin("testbed", "query")
    return found


def broken(found, where, *names, stays=False):
    """Breaches of these names, which go when they are put back unless they stay."""
    for name in names:
        breach = Breach(name, lambda: None)
        object.__setattr__(breach, "put_back", lambda one=breach: None if stays else getattr(found, where).remove(one))
        getattr(found, where).append(breach)


def test_a_case_that_changes_nothing_keeps_what_it_stored(watched):
    watched.store.built += ["mine"]
    assert (watched.watch.end(), watched.watch.is_whole, watched.store.aside) == ([], True, [])
    assert watched.shared == [("testbed", "query")]


def test_changes_are_named_in_order_put_back_and_what_was_built_beside_them_is_set_aside(watched):
    watched.watch.see_data("testbed")
    broken(watched, "running", "a thread")
    broken(watched, "seal", "a function", "a function")
    broken(watched, "data", "the images")
    watched.store.built += ["mine", "other"]
    assert watched.watch.end() == ["a function", "the images", "a thread"]
    assert (watched.watch.is_whole, watched.seal, watched.running, watched.data) == (True, [], [], [])
    why = "it was built beside code that had been changed"
    assert watched.store.aside == [("mine", why), ("other", why)]


@pytest.mark.parametrize(("count", "more"), [(5, []), (6, ["and 1 more"]), (8, ["and 3 more"])])
def test_five_changes_are_named(watched, count, more):
    broken(watched, "seal", *(f"c{n}" for n in range(count)), stays=True)
    assert watched.watch.end() == ["c0", "c1", "c2", "c3", "c4", *more]
    assert watched.watch.is_whole is False


def test_what_cannot_be_put_back_is_no_error_and_the_next_case_has_data_of_its_own(watched):
    watched.watch.see_data("testbed")
    broken(watched, "data", "the judge", stays=True)
    object.__setattr__(watched.data[0], "put_back", lambda: 1 / 0)
    assert (watched.watch.end(), watched.watch.is_whole) == (["the judge"], False)
    watched.watch.begin()
    assert (watched.watch.end(), watched.watch.is_whole) == ([], False)  # of what was broken before


# Data of a testbed


@pytest.fixture
def data(monkeypatch):
    """Data of a testbed of which each part can be changed."""
    from solidmark import testbed as module

    judge, forgotten = {"weights": [1.0]}, []
    labelled = SimpleNamespace(images=torch.zeros(3, 1, 2, 2), labels=np.array([0, 1, 2]))
    for name in ("_judge", "_distinct"):
        cached = SimpleNamespace(cache_clear=lambda name=name: forgotten.append(name))
        monkeypatch.setattr(module, name, cached)
    monkeypatch.setattr(module, "_distinct", type("Cached", (), {"__call__": lambda self, bed: labelled,
                        "cache_clear": lambda self: forgotten.append("_distinct")})())  # fmt: skip
    network = object.__new__(leftovers.given.GivenNetwork)
    state = {"w": torch.zeros(2)}
    monkeypatch.setattr(leftovers.given, "shared_state", lambda one: state if one is network else None)
    monkeypatch.setattr(leftovers.given, "forget", lambda: forgotten.append("given"))
    bed = SimpleNamespace(judge=lambda: judge, recipe=SimpleNamespace(network=network))
    found = leftovers.Data(bed)
    return SimpleNamespace(data=found, judge=judge, labelled=labelled, state=state, forgotten=forgotten, bed=bed)


CHANGES = {
    "the images": lambda found: found.labelled.images.add_(0.5),
    "the classes": lambda found: found.labelled.labels.__setitem__(0, 7),
    "the judge": lambda found: found.judge["weights"].append(2.0),
    "what all models share": lambda found: found.state["w"].add_(1),
}


@pytest.mark.parametrize("part", CHANGES)
def test_each_part_of_the_data_is_compared_and_made_anew(data, part):
    assert data.data.breaches() == []
    CHANGES[part](data)
    (breach,) = data.data.breaches()
    assert breach.what == f"{part} of SimpleNamespace"
    breach.put_back()
    assert data.forgotten == ["_judge", "_distinct", "given"]


def test_a_network_that_was_not_given_shares_nothing(data):
    data.bed.recipe.network = "ours"
    plain = leftovers.Data(data.bed)
    CHANGES["what all models share"](data)
    assert (plain._digests()["what all models share"], plain.breaches()) == ("", [])


# Threads and processes


def test_what_was_started_since_is_named_with_its_own_end(monkeypatch):
    there = SimpleNamespace(threads=[1, 2], children=[10])
    monkeypatch.setattr(leftovers, "threads", lambda: list(there.threads))
    monkeypatch.setattr(leftovers, "children", lambda: list(there.children))
    monkeypatch.setattr(leftovers, "GRACE", 0.0)
    monkeypatch.setattr(leftovers.sys, "_current_frames", lambda: {1: "one", 2: "two", 3: "three"})
    monkeypatch.setattr(leftovers, "_place", lambda frame: f"place {frame}")
    monkeypatch.setattr(leftovers, "_program", lambda pid: f"program {pid}")
    ended = []
    monkeypatch.setattr(leftovers, "end_thread", lambda ident: ended.append(("thread", ident)))
    monkeypatch.setattr(leftovers, "end_process", lambda pid: ended.append(("process", pid)))
    running = leftovers.Running()
    assert running.breaches() == []
    there.threads, there.children = [2, 3, 4], [11]  # the fourth has ended meanwhile, and has no frame
    found = running.breaches()
    assert [one.what for one in found] == ["a thread goes on at place three", "a process goes on: program 11"]
    for one in found:
        one.put_back()
    assert ended == [("thread", 3), ("process", 11)]


@pytest.mark.parametrize(("threads", "children", "over"), [([1], [9], True), ([1, 2], [9], False), ([1], [9, 8], False)])
def test_a_case_is_waited_for_until_its_threads_and_processes_are_gone(monkeypatch, threads, children, over):
    asked = []
    monkeypatch.setattr(leftovers, "threads", lambda: [1])
    monkeypatch.setattr(leftovers, "children", lambda: [9])
    running = leftovers.Running()
    monkeypatch.setattr(leftovers, "threads", lambda: threads)
    monkeypatch.setattr(leftovers, "children", lambda: children)
    monkeypatch.setattr(leftovers, "wait", lambda seconds, until: asked.append((seconds, until())))
    monkeypatch.setattr(leftovers.sys, "_current_frames", dict)
    running.breaches()
    assert asked == [(leftovers.GRACE, over)]


def test_a_thread_is_told_to_end_in_silence_and_the_hook_is_put_back(monkeypatch):
    told, hook = [], threading.excepthook
    asynchronous = lambda ident, error: told.append((ident.value, error.value, threading.excepthook))  # noqa: E731
    monkeypatch.setattr(leftovers.ctypes, "pythonapi", SimpleNamespace(PyThreadState_SetAsyncExc=asynchronous))
    states = iter(([7, 8], [8]))
    monkeypatch.setattr(leftovers, "threads", lambda: next(states))
    monkeypatch.setattr(leftovers, "wait", lambda seconds, over: told.append((seconds, over(), over())))
    leftovers.end_thread(7)
    assert told == [(7, SystemExit, leftovers._silent), (leftovers.PATIENCE, False, True)]
    assert threading.excepthook is hook


def test_a_child_is_killed_and_waited_for(monkeypatch):
    told = []
    monkeypatch.setattr(leftovers.os, "kill", lambda *given: told.append(given))
    monkeypatch.setattr(leftovers.os, "waitpid", lambda *given: told.append(given))
    leftovers.end_process(7)
    assert told == [(7, leftovers.signal.SIGKILL), (7, 0)]


# The seal


def test_members_are_watched_by_name_and_put_back_one_by_one():
    module = ModuleType("solidmark.mine")
    module.number, module.gone, module.kept = 1, "a", [1]
    made = object.__new__(Seal)
    made.__dict__.update(_holders=[], _functions={}, _contents=[], _seen=set(), _hooked={}, _modules=set())
    made._watch_module("solidmark.mine", module)
    assert [*made._members(), *made._codes(), *made._insides()] == []
    module.number, module.new, module.__doc__ = 2, 3, "passing"
    del module.gone
    module.kept.append(2)
    told = {one.what: one for one in [*made._members(), *made._insides()]}
    assert sorted(told) == [
        "solidmark.mine.gone was removed",
        "solidmark.mine.new was changed",
        "solidmark.mine.number was changed",
        "what is in solidmark.mine.kept",
    ]
    for one in told.values():
        one.put_back()
    assert (module.number, module.gone, module.kept, hasattr(module, "new")) == (1, "a", [1], False)
    assert [*made._members(), *made._insides()] == []


def test_of_a_library_classes_functions_and_hooks_are_watched_and_its_own_numbers_are_not():
    module = ModuleType("torch.nn.modules.mine")
    kind = type("Kind", (), {"__module__": "torch.nn.modules.mine", "method": lambda self: 1})
    module.Kind, module._global_hooks, module.table = kind, {"a": 1}, {"b": 2}
    module.Other = type("Other", (), {"__module__": "elsewhere"})
    made = object.__new__(Seal)
    made.__dict__.update(_holders=[], _functions={}, _contents=[], _seen=set(), _hooked={}, _modules=set())
    made._watch_module("torch.nn.modules.mine", module)
    assert [name for name, *_ in made._holders] == ["torch.nn.modules.mine", "torch.nn.modules.mine.Kind"]
    assert [name for name, *_ in made._contents] == ["torch.nn.modules.mine._global_hooks"]
    assert made._functions == {}  # of a library, who holds it is watched alone
    made._watch_module("solidmark.mine", module)
    assert [name for name, *_ in made._contents][1:] == ["solidmark.mine.table"]


def test_a_seal_watches_objects_of_a_run_with_all_their_classes_once():
    class Base:
        def method(self):
            return 1

    class Mine(Base):
        pass

    Mine.__module__ = Base.__module__ = "solidmark.mine"
    made, one = Seal(), Mine()
    one.number = 1
    before = len(made._holders)
    made.extend(one)
    made.extend(one)
    named = [name for name, *_ in made._holders[before:] if "mine." in name]
    assert [name.rpartition(".")[2] for name in named] == ["Mine", "Base"]
    name = f"{Mine.__qualname__} of this run"
    assert [what for what, *_ in made._contents if what == name] == [name]
    one.number, method = 2, Base.method
    method.__code__ = (lambda self: 2).__code__
    told = {breach.what: breach for breach in made.breaches()}
    assert sorted(told) == sorted([f"what is in {name}", f"the code of solidmark.mine.{Base.__qualname__}.method"])
    for breach in told.values():
        breach.put_back()
    assert (one.number, one.method(), made.breaches()) == (1, 1, [])


def test_what_python_calls_by_itself_is_compared_and_put_back(monkeypatch):
    now, put = {"a": 1, "b": print}, []
    hooks = {name: (lambda name=name: now[name], lambda value, name=name: put.append((name, value))) for name in now}
    monkeypatch.setattr(seal, "HOOKS", hooks)
    made = Seal()
    now["a"], now["b"] = 2, sys.exit
    told = [*made._hooks()]
    assert [one.what for one in told] == ["a was changed", "b became sys.exit"]
    for one in told:
        one.put_back()
    assert put == [("a", 1), ("b", print)]


def test_contents_that_grew_shrank_or_became_another_kind_are_told():
    made = object.__new__(Seal)
    for value, change in (({"a": 1}, lambda v: v.update(a=2)), ([1, 2], lambda v: v.pop()), ({1}, lambda v: v.add(2))):
        made.__dict__.update(_contents=[], _seen=set())
        made._watch_contents("x", value)
        made._watch_contents("y", value)
        assert [name for name, *_ in made._contents] == ["x"]
        before = value.copy()
        assert [*made._insides()] == []
        change(value)
        (breach,) = made._insides()
        breach.put_back()
        assert (breach.what, value) == ("what is in x", before)


def test_an_empty_cell_holds_nothing_and_a_missing_label_is_removed():
    def outer():
        def inner():
            return later

        found = seal._parts(inner)
        later = 1
        return found, seal._parts(inner)

    (before, after) = outer()
    assert (before[2:], after[2:]) == ((None,), (1,))
    assert seal._described(MISSING) == " was removed"


# Devices


@pytest.mark.parametrize(
    ("gpus", "each", "gains", "cores", "found"),
    [
        (["a", "b"], 3, (True,), 16, 6),
        (["a", "b"], 3, (True, False), 16, 16),
        (["a", "b"], 3, (True, False), 6, 7),
        (["a", "b"], 3, (False,), 16, 16),
        ([], 3, (True,), 16, 16),
        ([], 3, (), 5, 5),
    ],
)
def test_workers_are_those_of_gpus_and_of_the_cores_that_they_leave(gpus, each, gains, cores, found):
    assert devices.workers(gpus, each, gains, cores) == found


@pytest.mark.parametrize(
    ("listed", "name", "has", "answers"),
    [
        (["u0", None], "0", True, True),
        (["u0", None], "1", True, False),
        (["u0", None], "2", False, None),
        (["GPU-ab", None], "GPU-a", True, True),
        (["GPU-ab", None], "GPU-b", False, True),
        ([None], "MIG-s1", True, True),
        ([], "MIG-GPU-x", True, True),
    ],
)
def test_a_name_is_an_index_or_the_beginning_of_an_identity(listed, name, has, answers):
    found = devices.Listed(listed, ["MIG-s1", "MIG-s2"], [])
    assert found.has(name) is has
    assert answers is None or found.answers(name) is answers


def test_a_worker_has_its_gpu_its_threads_and_what_libraries_need(monkeypatch):
    monkeypatch.setattr(devices, "usable_cores", lambda: 9)
    given = [devices.worker_environment(index, ["a", "b"], 4, {}, 3) for index in range(4)]
    assert [one.pop("CUDA_VISIBLE_DEVICES") for one in given] == ["a", "b", "a", "-1"]
    fixed = {"OMP_NUM_THREADS": "2", "CUBLAS_WORKSPACE_CONFIG": ":4096:8", **devices.MEMORY}
    assert given == [fixed] * 4
    assert devices.MEMORY == {"MALLOC_TRIM_THRESHOLD_": "536870912", "MALLOC_MMAP_THRESHOLD_": "33554432"}


def test_torch_is_asked_in_a_process_that_sees_what_was_stated(monkeypatch):
    asked = []
    monkeypatch.setattr(devices, "_torch_knows_gpus", lambda: True)
    run = lambda *given, **how: asked.append((given, how)) or SimpleNamespace(stdout=b"a banner\n 3")  # noqa: E731
    monkeypatch.setattr(devices.subprocess, "run", run)
    monkeypatch.setattr(devices.os, "environ", {"A": "1", "CUDA_VISIBLE_DEVICES": "old"})
    assert [devices._count_by_torch.__wrapped__(stated) for stated in (None, "5,6")] == [3, 3]
    (((command,), first), (_, second)) = asked
    assert command == [sys.executable, "-c", devices.COUNT]
    assert first == {
        "env": {"A": "1", "CUDA_VISIBLE_DEVICES": "old"},
        "capture_output": True,
        "timeout": 120,
        "check": True,
    }
    assert second["env"] == {"A": "1", "CUDA_VISIBLE_DEVICES": "5,6"}
    monkeypatch.setattr(devices, "_torch_knows_gpus", lambda: False)
    assert (devices._count_by_torch.__wrapped__(None), len(asked)) == (0, 2)


def test_the_device_of_a_worker_is_the_gpu_that_it_has(monkeypatch):
    for there, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert devices.torch_device() == device


# Schedule, progress, colours


class Node:
    """A worker that notes what it is told."""

    def __init__(self, gpu="-1"):
        self.gateway = SimpleNamespace(spec=SimpleNamespace(env={} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}))
        self.shutting_down, self.told = False, []

    def send_runtest_some(self, indices):
        self.told += indices

    def shutdown(self):
        self.shutting_down = True


def scheduled(nodes, weights, gpu=(), pending=None):
    made, reads = CaseScheduling.__new__(CaseScheduling), []
    plan = {str(n): {"weight": weight, "gpu": n in gpu} for n, weight in enumerate(weights)}
    collection = [f"t.py::x[{n}]" for n in range(len(weights))]
    made.__dict__.update(node2pending={node: [] for node in nodes}, pending=pending or [*range(len(weights))])
    made.__dict__.update(collection=collection, _plan=None, _read=lambda: reads.append(1) or plan)
    made.check_schedule()
    assert len(reads) <= 1
    return made


def test_each_worker_has_two_cases_and_one_that_finds_none_is_ended():
    first, second, third = Node(), Node(), Node()
    third.shutting_down = True
    made = scheduled([first, second, third], [9.0, 4.0, 1.0])
    assert (first.told, second.told, third.told, made.pending) == ([0, 2], [1], [], [])
    assert (first.shutting_down, second.shutting_down) == (False, True)


def test_behind_a_case_as_long_as_the_mean_of_the_rest_comes_the_longest():
    node = Node()
    made = scheduled([node], [3.0, 3.0, 3.0])
    assert (node.told, made.pending) == ([0, 1], [2])
    assert (made._weight(1), made._entry(0)) == (3.0, {"weight": 3.0, "gpu": False})
    made.collection = ["t.py::other", "t.py::x[unknown]"]
    assert [made._weight(n) for n in (0, 1)] == [1.0, 1.0]


def test_workers_of_two_kinds_take_their_own_cases_and_a_worker_without_the_variable_has_no_gpu():
    with_gpu, without = Node("GPU-a"), Node(None)
    made = scheduled([with_gpu, without], [9.0, 8.0, 7.0, 1.0], gpu={1, 3})
    assert (with_gpu.told, without.told, made.pending) == ([1, 3], [0, 2], [])
    alone = Node("GPU-a")
    assert scheduled([alone], [9.0, 8.0], gpu={1}).pending == []
    assert alone.told == [0, 1]


def test_states_of_workers_are_read_in_the_order_of_their_names(tmp_path, monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: 10.0, time=lambda: 77.0)
    monkeypatch.setattr(progress_report, "time", clock)
    for worker in ("gw2", "gw1"):
        progress_report.Reporter(tmp_path, worker, "a case")("train", 3, 9)
    whole = {"case": "a case", "action": "train", "done": 3, "of": 9, "t": 77.0}
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: sorted(glob(self, pattern), reverse=True))
    assert progress_report.read_states(tmp_path) == [{"worker": name, **whole} for name in ("gw1", "gw2")]


@pytest.mark.parametrize(
    ("no", "force", "terminal", "kind", "wanted"),
    [
        (None, None, True, "xterm", True),
        (None, None, False, "xterm", False),
        (None, None, True, "dumb", False),
        (None, "1", False, "dumb", True),
        ("1", "1", True, "xterm", False),
        ("", "", True, None, True),
    ],
)
def test_colours_are_wanted_on_a_terminal_unless_somebody_says_otherwise(monkeypatch, no, force, terminal, kind, wanted):
    for name, value in (("NO_COLOR", no), ("FORCE_COLOR", force), ("TERM", kind)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert colours.are_wanted(SimpleNamespace(isatty=lambda: terminal)) is wanted


@pytest.mark.parametrize(
    ("share", "width", "drawn"),
    [
        (-1.0, 3, "   "),
        (0.0, 3, "   "),
        (0.5, 3, "█▌ "),
        (1.0, 3, "███"),
        (7.0, 3, "███"),
        (1 / 24, 3, "▏  "),
        (23 / 24, 3, "██▉"),
    ],
)
def test_a_bar_is_filled_to_an_eighth_of_a_letter(share, width, drawn):
    assert colours.bar(share, width) == drawn
    assert len(colours.bar(share)) == 10


# The end


def test_an_ending_has_the_pages_table_faults_and_records_of_what_was_rendered(monkeypatch, tmp_path):
    from solidmark.leaderboard import incidents, render
    from solidmark.leaderboard import left_out as words
    from solidmark.runner import board_table

    loud = f"{incidents.NOT_BELIEVED}: x"
    board = SimpleNamespace(notes=["quiet", loud], provenance="provenance")
    rendered = SimpleNamespace(board=board, written=["page"], damaged=["damaged"], faults=["fault"], records=["record"])
    asked = []
    monkeypatch.setattr(render, "render", lambda runs: asked.append(runs) or rendered)
    monkeypatch.setattr(step_summary, "append", lambda one: asked.append(one))
    monkeypatch.setattr(board_table, "tables", lambda one, colours: f"table, colours {colours}")
    for told, line in (("some families", ["left out: some families"]), ("", [])):
        monkeypatch.setattr(words, "words", lambda provenance, told=told: told if provenance == "provenance" else "?")
        found = Ending.of(tmp_path, colours=True)
        assert found.table == "\n".join(["table, colours True", *line, loud])
        assert (found.written, found.faults, found.records) == (["page"], ["damaged", "fault"], ["record"])
    assert asked == [[tmp_path], board] * 2
    assert Ending.of(tmp_path).table.startswith("table, colours False")
    monkeypatch.setattr(step_summary, "append", lambda one: 1 / 0)
    failed = Ending.of(tmp_path)
    assert failed == ending.Ending(faults=["no page was written: ZeroDivisionError: division by zero"])


@pytest.mark.parametrize(
    ("written", "page"),
    [(["a.md", "b.html", "c.html"], "b.html"), (["a.md", "b.csv"], "a.md"), ([], None)],
)
def test_the_lines_of_an_ending_are_faults_table_and_the_page(written, page):
    made = Ending([Path(name) for name in written], "the table", ["f", "g"])
    last = [f"\nleaderboard: {page}"] if page else []
    assert made.lines() == ["f", "g", "the table", *last]
    assert replace(made, table="", faults=[]).lines() == last


# Sessions


@pytest.mark.parametrize(
    ("text", "found"),
    [(["a"], "a"), (["a", "b"], "a,b"), ([], "none"), ([0, 1], "0,1"), (None, "None"), (True, "True")],
)
def test_values_of_options_are_told_in_words(text, found):
    assert resume._words(text) == found


def test_options_of_an_older_run_are_those_that_are_known_with_lists_as_tuples():
    stated = {"seeds": "0", "testbeds": ["a", "b"], "of a later version": 1}
    assert resume._options({"options": stated}) == Options(seeds="0", testbeds=("a", "b"), references=False)
    assert resume._options({"options": {**stated, "references": True}}).references
    assert resume._options({}) is None


def test_an_earlier_run_is_the_named_folder_or_the_last_one(tmp_path):
    for name in ("one", "two"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text(json.dumps({"benchmark_version": 1, "options": {"seeds": name}}))
    (tmp_path / "runs" / "latest").symlink_to("two")
    found = [Earlier.read(tmp_path / "runs", wanted) for wanted in ("runs/one", "last", str(tmp_path / "runs" / "two"))]
    assert [one.options.seeds for one in found] == ["one", "two", "two"]
    assert [one.run for one in found] == [tmp_path / "runs" / name for name in ("one", "two", "two")]
    assert [(one.done, one.selection) for one in found] == [(frozenset(), Selection())] * 3
    with pytest.raises(InvalidValue, match=r"--resume: found .*three; expected the folder of a run, with run\.json"):
        Earlier.read(tmp_path / "runs", "runs/three")


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        (["--run-dir=x", "-x"], ["-x"]),
        (["--run-dir", "x", "-x"], ["-x"]),
        (["--resume", "-x"], ["-x"]),
        (["--resume"], []),
        (["--solidmark-run-dir", "x", "y"], ["y"]),
        (["resume", "run-dir"], ["resume", "run-dir"]),
        (["--seeds=0", "--resume=a", "--resumes", "b"], ["--seeds=0", "--resumes", "b"]),
    ],
)
def test_a_command_goes_on_without_what_names_the_run(left, kept):
    whole = " ".join(["pytest", *kept, "--resume=runs/a"])
    assert resume.command(left, Path("/h/runs/a"), Path("/h")) == whole
    assert resume.command([], Path("/elsewhere/a"), Path("/h")) == "pytest --resume=/elsewhere/a"


def test_a_plan_has_the_chosen_cases_of_rows_and_testbeds(tmp_path):
    made = lambda slug: SimpleNamespace(slug=slug, entry=lambda: {"of": slug}, left_out="", family=slug)  # noqa: E731
    session = Session(Options(), tmp_path)
    vars(session).update(planned=[made("a"), made("b")], planned_testbeds=[made("c"), made("d")], _every=[])
    session.write_plan(["d", "a", "x"])
    assert session.read_plan() == {"a": {"of": "a"}, "d": {"of": "d"}}
    session.write_plan([])
    assert session.read_plan() == {}


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_a_plan_that_is_torn_is_empty(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    (tmp_path / "given_up.json").write_text("{")
    session = Session(Options(), tmp_path)
    assert not session.is_given_up("a")
    if text == "{":
        assert session.read_plan() == {}


def test_a_header_has_profile_testbeds_solver_and_shard(tmp_path):
    many = Options(profile="quick", testbeds=("a", "b"), solver="ddim", shard="2/3", mitigations=("rna",))
    whole = Session(many, Path("/r"), frozenset("abc"))
    assert whole.header() == [
        "solidmark: profile quick, testbeds a, b, solver ddim, shard 2/3",
        "solidmark: run folder /r, 3 cases already done",
    ]
    every = [name for name, profile in PROFILES.items() if profile.every_setting]
    for name in PROFILES:
        told = Session(Options(profile=name), Path("/r")).header()
        assert (sessions.SELECTS in told) is (name not in every)


def test_markers_are_testbeds_families_of_all_expressions_and_stages(monkeypatch):
    monkeypatch.setattr(
        sessions.plugins, "discover", lambda group: [SimpleNamespace(name="pack:one"), SimpleNamespace(name="two")]
    )
    monkeypatch.setattr(sessions.plugins, "testbed_name", lambda expression: expression.partition("(")[0])
    monkeypatch.setattr(Options, "foreign", lambda self: ("three",))
    found = Session(Options(testbeds=("a(x=1)", "b"), mitigations=("x.py:Four+two",)), Path("/r")).markers()
    testbeds = [f"{name}: cases of the testbed {name}" for name in "ab"]
    families = [f"{name}: cases of the mitigation {name}" for name in ("one", "two", "x.Four", "three")]
    stages = [f"{name}: cases that act at {name}" for name in ("training", "sampling", "post-hoc")]
    assert found == [*testbeds, *families, *stages, "experiment: findings over several seeds"]


def test_options_are_checked_each_against_what_is_installed(monkeypatch):
    asked = []
    monkeypatch.setattr(sessions.plugins, "discover", lambda group: [SimpleNamespace(name="known")])
    bed = SimpleNamespace(solvers={"fast": 1, "slow": 2})
    monkeypatch.setattr(sessions.plugins, "testbed", lambda name: asked.append(("testbed", name)) or (name, bed))
    monkeypatch.setattr(sessions.plugins, "named", lambda *given: asked.append(given))
    monkeypatch.setattr(sessions.plugins, "compose", lambda name: asked.append(("compose", name)) or f"made {name}")
    monkeypatch.setattr(sessions, "check_seeds", lambda made, seeds: asked.append((made, seeds)))
    monkeypatch.setattr(Options, "foreign", lambda self: ("known", "strange"))
    sessions._check(Options(testbeds=("known",), seeds="3"))
    composed = [("compose", "strange"), ("made strange", (3,))]
    assert asked == composed
    asked.clear()
    queries = Options(testbeds=("known", "new"), solver="slow", queries="a, b", mitigations=("known", "own"), seeds="3")
    sessions._check(queries)
    named = [(sessions.plugins.GROUPS["query"], "--queries", name) for name in "ab"]
    assert asked == [("testbed", "known"), ("testbed", "new"), *named, ("compose", "own"), ("made own", (3,)), *composed]
    with pytest.raises(UnknownName, match=r"--solver.*'quick'.*fast, slow"):
        sessions._check(Options(testbeds=("known",), solver="quick"))
