"""The pytest plugin: options, the plan as test parameters, one worker a GPU, resume, retries, progress, the report.

It is loaded in every pytest run where solidmark is installed, but does nothing unless the run is of the benchmark's own
folder (or a copy of it), or the ini option `solidmark` is true. Options are registered with a prefix, and short names
are taken in our own runs alone.
"""

from __future__ import annotations

import copy
import os
import re
import sys
import traceback
from collections.abc import Generator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .errors import InvalidValue, SolidmarkError
from .runner import devices
from .runner.options import PREFIX, with_long_names
from .store import default_root

if TYPE_CHECKING:
    from .records import Writer
    from .runner.plan import Planned
    from .runner.session import Session

SESSION: pytest.StashKey[Session] = pytest.StashKey()
RESTARTS = "1000000"
"""Limit of replaced workers, as xdist reads it; the controller stops a run whose workers end before any case."""
CONTROLLER = "solidmark-controller"
STARTING = "solidmark-starting"
GIVEN_UP: pytest.StashKey[str] = pytest.StashKey()
"""Why this worker measures no further case."""
WRITER: pytest.StashKey[Writer] = pytest.StashKey()
"""Who writes the records of this process."""
ANY_CASE: pytest.StashKey[bool] = pytest.StashKey()
"""Whether -k and -m chose any case, done or not."""
CASE, TESTBED = "solidmark_planned", "solidmark_planned_testbed"
"""What our tests are parametrized by."""
OURS = re.compile(r"^def test_\w+\(\s*solidmark_measured\b", re.MULTILINE)
"""A test that asks for our fixture `solidmark_measured`, as the benchmark's `test_memorization.py` does, and nobody else."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """All options of the benchmark under one heading."""
    group = parser.getgroup("solidmark", "solidmark: memorization mitigations of image diffusion models")

    def option(name: str, text: str, **how: Any) -> None:
        """No option has a short name of its own: another plugin may have one of that name, and pytest would not start."""
        how.setdefault("dest", f"solidmark_{name.replace('-', '_')}")
        group.addoption(f"{PREFIX}{name}", help=f"{text}; in the benchmark's own runs also --{name}", **how)

    option("profile", "quick (default), standard (3 seeds, all settings) or full", metavar="NAME")
    option(
        "testbed",
        "testbed, or its settings FILE.toml; repeatable (default: digits or digits-quick)",
        action="append",
        metavar="NAME",
    )
    option("mitigation", "'rna', 'rna(count=8)', 'rna+gni' or file.py:Class; repeatable", action="append", metavar="EXPR")
    part = "measure one of N parts, for a job array; models are shared inside a part, and `solidmark report` merges them"
    option("shard", part, metavar="I/N")
    bare = "with --mitigation, leave out the reference curve of its stage, and so the verdict"
    option("no-references", bare, action="store_true")
    foreign = "a row for a stranger's diffusers pipeline, as it is, beside the stock one, on the weights of a latent testbed"
    weights = "rows for weights that somebody else trained on this testbed's marked images; {seed} stands for the seed"
    option("pipeline", weights, metavar="FOLDER_OR_NAME")
    option("pipeline-class", foreign, metavar="FILE.py:CLASS")
    option("pipeline-call", "the function call(pipe, captions, **options) that asks it", metavar="FILE.py:FUNCTION")
    option("seeds", "seeds, as 0,1,2 or 0-7", metavar="LIST")
    option("queries", "queries to ask, as outpaint,average", metavar="LIST")
    solver = "solver of the queries: fast (default), short, paper, ddim or published; its old name is --protocol"
    option("solver", solver, metavar="NAME")
    option("run-dir", "folder of this run (default: runs/<time>-<id>)", metavar="DIR")
    resume = "go on with the last run, or with the one in DIR, by the options that it began with"
    option("resume", resume, nargs="?", const="last", metavar="DIR")
    limit = "a case that takes longer ends with status timeout (default 7200; 0: no limit)"
    option("case-timeout", limit, type=float, default=7200.0, metavar="SECONDS")
    failing = "a finding whose verdict is `fails` fails its test"
    option("strict-findings", failing, action="store_true")
    option("workers-per-gpu", "workers that share a GPU under -n auto", type=int, default=1, metavar="N")
    option("progress", "a line of progress now and then", choices=("auto", "plain", "off"), default="auto")
    parser.addini("solidmark", "treat this folder's tests as benchmark cases", type="bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Where the run is the benchmark's, short names such as `--profile` mean our options; elsewhere they are others'."""
    written = with_long_names(args)
    if written == args:
        return
    targets = _targets(early_config, parser, args) + _targets(early_config, parser, written)
    if early_config.getini("solidmark") or _names_benchmark(targets, early_config):
        args[:] = written


def _targets(config: pytest.Config, parser: pytest.Parser, arguments: list[str]) -> list[str]:
    """The files, folders and packages that arguments name, else those that pytest takes; none where it refuses them."""
    try:
        named = parser.parse_known_args(arguments, copy.copy(config.option)).file_or_dir
    except pytest.UsageError:
        return []
    here = config.invocation_params.dir
    return [str(name) for name in named or (config.getini("testpaths") if here == config.rootpath else []) or [here]]


def is_benchmark(config: pytest.Config) -> bool:
    """Whether this run is the benchmark's."""
    if config.getini("solidmark") or (hasattr(config, "workerinput") and "solidmark" in config.workerinput):
        return True
    return _names_benchmark(config.args, config)


def _names_benchmark(targets: Iterable[str], config: pytest.Config) -> bool:
    return any(_inside_benchmark(target.split("::")[0], config.invocation_params.dir) for target in targets)


def _inside_benchmark(target: str, here: Path) -> bool:
    """Whether a target is the installed benchmark, or lies in a checkout or copy of it; others' `benchmark/` is not ours."""
    if target == "solidmark.benchmark" or target.startswith("solidmark.benchmark."):
        return True
    try:
        path = (here / target).resolve()
        text = ((path if path.is_dir() else path.parent) / "test_memorization.py").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return OURS.search(text) is not None


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """A worker may be replaced as often as it takes: each case can end two, and xdist's own limit would end the run.

    Raises UsageError for `--dist each`, by which every worker would measure every case.
    """
    if getattr(config.option, "dist", "no") == "each" and is_benchmark(config):
        cure = "Choose load, loadfile, loadscope, loadgroup or worksteal, or leave it out."
        raise pytest.UsageError(f"--dist each: found every case on every worker; expected each case once. {cure}")
    if getattr(config.option, "maxworkerrestart", "0") is None and is_benchmark(config):
        config.option.maxworkerrestart = RESTARTS


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Create the session: on the controller from the options, on a worker from what the controller sent."""
    if not is_benchmark(config):
        return
    from .records import check_writable
    from .runner.controller import Controller
    from .runner.session import Session
    from .runner.starting import Starting
    from .store import PARTS, Store, default_root

    try:
        received = getattr(config, "workerinput", {}).get("solidmark")
        session = Session.from_json(received) if received else Session.from_options(config)
        if not received and not config.option.collectonly:
            root = Store(default_root()).root  # a store that cannot be is reported once, before anything runs
            check_writable(root, PARTS, "store", "Free some space, or set SOLIDMARK_STORE to a folder that can be written.")
    except SolidmarkError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[SESSION] = session
    config.option.keyword, config.option.markexpr = session.selection.keyword, session.selection.markers
    for marker in session.markers():
        config.addinivalue_line("markers", marker)
    if not received and not config.option.collectonly:
        config.pluginmanager.register(Controller(session, config), CONTROLLER)
        config.pluginmanager.register(Starting(config, session.run), STARTING)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Profile, testbeds, solver and folder of the run, and GPUs that are left out."""
    session = config.stash.get(SESSION, None)
    if session is None:
        return []
    with suppress(InvalidValue):  # the controller reports it
        return [*session.header(), *(f"solidmark: {note}" for note in devices.notes())]
    return session.header()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`solidmark_planned` becomes a case of the plan, `solidmark_planned_testbed` a testbed with a seed."""
    session = metafunc.config.stash.get(SESSION, None)
    for name in {CASE, TESTBED} & set(metafunc.fixturenames):
        if session is None:
            continue
        chosen = session.planned if name == CASE else session.planned_testbeds
        metafunc.parametrize(
            name, [pytest.param(case, id=case.slug, marks=_marks(case)) for case in chosen], scope="session"
        )


def _marks(case: Planned) -> list[pytest.MarkDecorator]:
    families = [name.rpartition(":")[2] for name in case.family.split("+")]  # without the distribution of a twin
    names = dict.fromkeys([case.testbed.partition("(")[0], *families, *case.stages])
    return [getattr(pytest.mark, name) for name in names if not name.startswith("_")]  # pytest has no such marks


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the cases that -k and -m chose, leave out those that are done (the controller's list) or not wanted.

    Workers have the others in the order in which they are dealt.
    """
    session = config.stash.get(SESSION, None)
    if session is None:
        return
    config.stash[ANY_CASE] = bool(items)
    chosen: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    wanted = [_is_wanted(item, config, session) for item in items]
    for item, mine in zip(items, _of_shard(items, wanted, session), strict=True):
        case = planned_case(item)
        done = case is not None and case.case_id in session.done
        (chosen if mine and not done else left_out).append(item)
    items[:] = _ordered(chosen) if hasattr(config, "workerinput") else chosen
    if left_out:
        config.hook.pytest_deselected(items=left_out)


def _of_shard(items: list[pytest.Item], wanted: list[bool], session: Session) -> list[bool]:
    """Which of the wanted tests this run has: those of its shard, else all. A file of experiments is in one shard."""
    if session.options.shard is None:
        return wanted
    from .runner.shards import Shard, trained_with

    cases = [planned_case(item) for item in items]
    groups = [trained_with(case) if case is not None else item.path.name for item, case in zip(items, cases, strict=True)]
    weights = [(case.weight if case is not None else 5.0) * each for case, each in zip(cases, wanted, strict=True)]
    mine = Shard.parse(session.options.shard).takes(groups, weights)
    return [each and part for each, part in zip(wanted, mine, strict=True)]


def _is_wanted(item: pytest.Item, config: pytest.Config, session: Session) -> bool:
    """Experiments and unmarked trainings run where the profile has them, or where their file or mark is named."""
    files = {argument.split("::")[0] for argument in config.args}
    modules = {name for file in files for name in (Path(file).stem, file.rpartition(".")[2])}  # a path, or --pyargs
    named = item.path.stem in modules or "experiment" in config.getoption("markexpr")
    profile = session.options.chosen_profile()
    experiment, unmarked = item.get_closest_marker("experiment"), TESTBED in getattr(item, "fixturenames", ())
    return named or not ((experiment and not profile.experiments) or (unmarked and not profile.unmarked))


def _ordered(items: list[pytest.Item]) -> list[pytest.Item]:
    from .runner.schedule import longest_first

    cases = [planned_case(item) for item in items]
    order = longest_first([case.weight if case else 1.0 for case in cases], [bool(case and case.leads) for case in cases])
    return [items[index] for index in order]


def pytest_collection_finish(session: pytest.Session) -> None:
    """The first worker writes the plan; where it was killed before that, the one in its place does."""
    config = session.config
    ours = config.stash.get(SESSION, None)
    given = getattr(config, "workerinput", {})
    number, count = int(given.get("workerid", "gw0").removeprefix("gw")), given.get("workercount", 1)
    if ours is None or not config.stash.get(ANY_CASE, False) or config.option.collectonly:
        return
    if number == 0 or (number >= count and not (ours.run / "plan.json").exists()):
        with suppress(SolidmarkError):  # a plugin that the user named and that is broken: collection has told it
            ours.write_plan([item.nodeid.partition("[")[2].removesuffix("]") for item in session.items])


def planned_case(item: pytest.Item) -> Planned | None:
    """The case that a test measures; None for any other test."""
    parameters: dict[str, Planned] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters.get(CASE) or parameters.get(TESTBED)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> str:
    """How many cases were collected, how many models they train, and what a large testbed says that this will take."""
    chosen = [case for item in items if (case := planned_case(item)) is not None]
    if config.stash.get(SESSION, None) is None or not chosen:
        return ""
    trainings = sum(case.weight > 1 for case in chosen)
    cases, train = "case" if len(chosen) == 1 else "cases", "trains" if trainings == 1 else "train"
    told = f"solidmark: {len(chosen)} {cases}; with an empty store {trainings} of them {train} a model of their own"
    from .runner.outlook import outlook

    try:
        lines = outlook(chosen, default_root())
    except InvalidValue as error:  # no store: a run would say so, too
        lines = [str(error)]
    return "\n".join([told, *(f"solidmark: {line}" for line in lines)])


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto`: as many workers a GPU as asked for, for testbeds that gain from one, and one a core for others.

    The first answer counts, and plugins are loaded in any order: xdist's own would be one a core.
    """
    if not is_benchmark(config) or config.option.numprocesses != "auto":
        return None
    stated = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", "").strip()
    try:
        if stated:
            return _count("PYTEST_XDIST_AUTO_NUM_WORKERS", stated, least=0)
        each, gpus = _workers_per_gpu(config), devices.visible_gpus()
        return devices.workers(gpus, each, _gains(config) if gpus else (True,))
    except SolidmarkError as error:
        raise pytest.UsageError(str(error)) from error


def _workers_per_gpu(config: pytest.Config) -> int:
    return _count("--workers-per-gpu", str(config.getoption("solidmark_workers_per_gpu")), least=1)


def _gains(config: pytest.Config) -> list[bool]:
    """Of each testbed of the run, whether it gains from a GPU. Imports torch, so it is asked where there is a GPU."""
    from . import plugins
    from .runner.session import Session

    session = config.stash.get(SESSION, None) or Session.from_options(config)
    return [plugins.testbed(name)[1].gains_from_gpu for name in session.options.testbed_list()]


def _count(where: str, stated: str, *, least: int) -> int:
    """A stated number of workers. Raises InvalidValue."""
    if not stated.isdecimal() or int(stated) < least:
        raise InvalidValue(where, repr(stated), f"a whole number of at least {least}", "Write a number, or leave it out.")
    return int(stated)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Pin each worker to its GPU before its interpreter starts; a replacement inherits the spec, and so the GPU."""
    if not is_benchmark(config):
        return
    try:
        gpus = devices.visible_gpus()
        gains = _gains(config) if gpus else [True]
        with_gpu = devices.workers_with_gpu(gpus, _workers_per_gpu(config), gains, len(specs))
    except SolidmarkError as error:
        raise pytest.UsageError(str(error)) from error
    for index, spec in enumerate(specs):
        spec.env.update(devices.worker_environment(index, gpus, len(specs), with_gpu=with_gpu))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One queue, the longest case first, in place of xdist's even shares; another `--dist` is the user's choice."""
    session = config.stash.get(SESSION, None)
    if session is None or config.getoption("dist") not in ("load", "worksteal"):
        return None
    from .runner.schedule import CaseScheduling

    return CaseScheduling(config, log, session.read_plan)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Send the session to a worker, as one JSON string: nothing else crosses safely."""
    session = node.config.stash.get(SESSION, None)
    if session is not None:
        node.workerinput["solidmark"] = session.to_json()
        node.workerinput["solidmark_records"] = node.config.pluginmanager.get_plugin(CONTROLLER).announce(node.gateway.id)


def give_up(session: pytest.Session, reason: str, *, is_whole: bool) -> None:
    """Measure no further case in this process, since one has changed what all of them share.

    A worker ends before its next case, and another takes its place. Without workers the run goes on where all was put
    back (`is_whole`), and else stops; --resume goes on with it in a new process.
    """
    if hasattr(session.config, "workerinput"):
        session.config.stash[GIVEN_UP] = reason
    elif not is_whole:
        session.shouldstop = f"what {reason} changed cannot be put back in this process"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """End a worker that gave up, before its next case, which the controller then hands to another one."""
    reason = item.config.stash.get(GIVEN_UP, None)
    if reason is not None:
        with suppress(SolidmarkError):
            item.config.stash[SESSION].write_replaced(os.environ["PYTEST_XDIST_WORKER"], reason)
        os._exit(1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out a case that was given up because it kills its worker, though the scheduler has put it back."""
    session, case = item.config.stash.get(SESSION, None), planned_case(item)
    if session is not None and case is not None and session.is_given_up(case.slug):
        if hasattr(item.config, "workerinput"):
            pytest.skip("given up: it ended its worker")
        pytest.fail(
            "left out: it has ended the process of the run twice; --resume tries again, and so does -n 1", pytrace=False
        )


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Cases that are tried again show as R."""
    return ("rerun", "R", "RERUN") if str(report.outcome) == "rerun" else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the controller which lines were written; release the tensors of a failed case before the next model is loaded."""
    report = yield
    writer = item.config.stash.get(WRITER, None)
    if writer is not None:
        report.solidmark_lines = {writer.name: writer.digests}  # type: ignore[attr-defined]  # pytest sends what is added
    if item.config.stash.get(SESSION, None) is not None and call.excinfo is not None and not item.config.option.usepdb:
        _release(call.excinfo.value)
    return report


def _release(error: BaseException | None) -> None:
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error.__traceback__, error = None, error.__cause__ or error.__context__
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)
