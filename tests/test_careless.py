"""Careless plugins: each costs its own family, by name and reason, and all other families are planned and measured."""

import json
import os
import signal
from dataclasses import dataclass, field, make_dataclass
from types import SimpleNamespace

import pytest
from solidmark.fixtures.pytest_fixtures import recorder

from solidmark import Mitigation, plugins, queries, timeouts
from solidmark.errors import PluginFault, cleaned, said, shortened
from solidmark.measurement import measure
from solidmark.mitigation import trial
from solidmark.mitigation.composition import Composition, Part
from solidmark.mitigation.hooks import Hooks
from solidmark.models import Evaluations
from solidmark.plugins import GROUPS, Plugin
from solidmark.queries import Attack
from solidmark.runner import plan
from solidmark.runner.options import Options
from solidmark.testing import rules


class Entry:
    """An entry point that loads whatever a test says."""

    def __init__(self, load):
        self.load = load


DISCOVER = plugins.discover


@pytest.fixture
def install(monkeypatch):
    """Installs classes under names of another distribution."""

    def installed(name, kind, group=GROUPS["mitigation"]):
        load = kind if callable(kind) and not isinstance(kind, type) else lambda: kind
        plugin = Plugin(name, f"module:{id(kind)}", "stranger", "1.0", Entry(load))
        known = plugins.discover
        monkeypatch.setattr(plugins, "discover", lambda asked: (*known(asked), *([plugin] if asked == group else [])))
        return plugin

    return installed


def planned(profile="quick", **options):
    """The planned cases of the careless family, and how many others there are."""
    cases = plan.cases(Options(profile=profile, seeds="0", **options))
    mine = [case for case in cases if case.family == "careless"]
    assert len({case.slug for case in cases}) == len({case.case_id for case in cases}) == len(cases)
    return mine, len(cases) - len(mine)


def guides(**members):
    """The class of a mitigation at sampling; `value` is its one parameter."""
    names = {"guidance": lambda self, scale, step_fraction: 0.5 * scale, **members}
    value = names.pop("value", 0.5)
    return make_dataclass(
        "Careless", [("value", object, field(default=value))], bases=(Mitigation,), namespace=names, frozen=True
    )


class Prints(str):
    """A text that prints as the label of another."""

    def __repr__(self):
        return "4)+rna(count=4"


@dataclass(frozen=True)
class Unplain(Attack):
    level: float = float("nan")


class Unfriendly(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (10**5000, "2**63"),
        (-(2**63), "2**63"),
        ("x" * 201, "201 letters"),
        ("\x1b[31m", "x1b"),
        ("\udc80", "udc80"),
        (Prints("x"), "type Prints"),
        ((1, (2, float("nan"))), "nan"),
        ((1,) * 201, "201 values"),
        (b"x", "type bytes"),
        ({}, "type dict"),
    ],
    ids=range(12),
)
def test_a_parameter_that_no_record_holds_costs_its_family_alone(install, value, reason):
    _, before = planned()
    install("careless", guides(__post_init__=lambda self: object.__setattr__(self, "value", value)))
    [mine], others = planned()
    assert reason in mine.broken.reason
    assert others == before
    json.dumps(mine.identity(), allow_nan=False).encode()


@pytest.mark.parametrize("value", [True, None, 0, 2**63 - 1, 1e300, "words, and ümlaut", (1, ("a", None))])
def test_plain_parameters_are_planned_under_their_label(install, value):
    install("careless", guides(value=value))
    [mine], _ = planned()
    assert mine.case.composition.label == f"careless(value={value!r})"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"parameters": lambda self: {"surprise": 1}}, "overrides parameters()"),
        ({"claims": "all is well"}, "claims of str"),
        ({"reference_curve": "yes"}, "reference_curve = 'yes'"),
        ({"__getattribute__": lambda self, name: 1 / 0}, "ZeroDivisionError"),
        ({"settings": lambda self: iter(lambda: self, None)}, "more than 50"),
        ({"settings": lambda self: (_ for _ in ()).throw(Unfriendly())}, "Unfriendly: (its text raises RuntimeError)"),
        ({"settings": lambda self: (_ for _ in ()).throw(KeyboardInterrupt("mine"))}, "KeyboardInterrupt: mine"),
    ],
)
def test_a_class_that_cannot_be_used_costs_its_family_alone(install, members, reason):
    _, before = planned("standard")
    install("careless", guides(**members))
    [mine], others = planned("standard")
    assert reason in mine.broken.reason
    assert others == before


def test_a_copy_that_a_plugin_forks_ends_before_it_does_anything(install, tmp_path):
    install("careless", guides(settings=lambda self: [self] if os.fork() else []))
    [mine], _ = planned("standard")
    (tmp_path / str(os.getpid())).touch()
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 1
    assert mine.case is not None
    assert len(list(tmp_path.iterdir())) == 1


def test_a_family_of_fifty_settings_is_planned_whole(install):
    install("careless", guides(settings=lambda self: [type(self)(n) for n in range(50)]))
    assert len(planned("standard")[0]) == 50


def test_long_texts_are_cut_and_stay_apart(install):
    install("careless", guides(settings=lambda self: [type(self)("x" * 190 + end) for end in "ab"]))
    mine, _ = planned("standard")
    labels = {case.case.composition.label for case in mine}
    assert (len(labels), {len(label) for label in labels}) == (2, {80})
    assert all(len(case.slug) < 140 for case in mine)


def test_texts_of_plugins_steer_no_terminal_and_have_utf_8():
    assert cleaned("a\x1b[31m\udc80\u202e\x9b\x7f b\n\tü") == r"a\x1b[31m\udc80\u202e\x9b\x7f b" + "\n\tü"
    assert cleaned("x" * 300_000) == "x" * 4000 + "... (296000 letters more)"
    assert len(shortened("x" * 81)) == 80
    assert said(ValueError("\x1b")) == r"ValueError: \x1b"


@pytest.mark.parametrize("group", ["mitigation", "query", "testbed"])
def test_a_stranger_with_an_official_name_is_called_by_its_distribution(monkeypatch, group):
    official = DISCOVER(GROUPS[group])[0]

    class Twin:
        name, value = official.name, "module:Twin"
        dist = type("Dist", (), {"metadata": {"Name": "stranger"}, "version": "1.0"})

    known = plugins.metadata.entry_points(group=GROUPS[group])
    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: [*known, Twin])
    names = {plugin.name: plugin.own for plugin in DISCOVER.__wrapped__(GROUPS[group])}
    assert (names[official.name], names[f"stranger:{official.name}"]) == (True, False)
    assert len(names) == len(DISCOVER(GROUPS[group])) + 1


def test_damaged_metadata_cost_no_other_plugin(monkeypatch):
    class Damaged:
        name, value = "x", "module:X"
        dist = type("Dist", (), {"metadata": {}, "version": "1.0"})

    count = len(DISCOVER(GROUPS["query"]))  # before the metadata are damaged, since it is kept
    known = plugins.metadata.entry_points(group=GROUPS["query"])
    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: [*known, Damaged])
    assert len(DISCOVER.__wrapped__(GROUPS["query"])) == count + 1


def test_only_a_signal_is_the_user_s_interruption():
    def pressed():
        signal.raise_signal(signal.SIGINT)

    plugin = Plugin("x", "module:X", "stranger", "1.0", Entry(pressed))
    with pytest.raises(KeyboardInterrupt):
        plugins._run_guarded(plugin, pressed)
    with timeouts.interrupts() as user:
        pass
    assert not user.came
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """Writes a module of another distribution, and tries it in a child process."""
    monkeypatch.syspath_prepend(tmp_path)

    def tried(source, *names, patience=30.0):
        path = tmp_path / "careless_module.py"
        if not path.exists() or path.read_text() != source:
            path.write_text(source)
        values = [f"careless_module:{name}" for name in names]
        found = trial.faults(["stranger", "1.0"], values, patience, tmp_path / "cache")
        return [found.get(value, "") for value in values]

    return tried


DEAF = "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\ntime.sleep(60)\n"


def test_an_import_that_hangs_or_exits_costs_no_process_but_the_child(stranger):
    assert stranger("import os; os._exit(7)", "A", "B") == ["its import ends the process, exit code 7"] * 2
    assert "no end after 2 s" in stranger(DEAF, "A", patience=2.0)[0]
    assert stranger("raise KeyboardInterrupt", "A") == [""]


def test_a_class_that_ends_the_process_costs_no_other_class_of_its_module(stranger):
    source = "import os\nprint('hello')\nos.write(1, b'....')\nclass A: pass\nclass B:\n    def __init__(self): os.abort()\n"
    assert stranger(source + "class C: pass\n", "A", "B", "C") == ["", "its class ends the process, SIGABRT", ""]


def test_a_module_is_tried_once_until_its_files_change(stranger, monkeypatch):
    asked = []
    monkeypatch.setattr(trial, "_one_child", lambda values, patience: asked.append(values) or (len(values), None))
    for source in ("a = 1", "a = 1", "a = 12"):
        assert stranger(source, "A") == [""]
    assert len(asked) == 2


def test_the_suite_s_own_plugins_are_never_tried_in_a_child(monkeypatch):
    monkeypatch.setattr(trial, "_one_child", lambda *_: 1 / 0)
    plugins.load.cache_clear()
    assert {row["status"] for row in plugins.listing(GROUPS["query"]) if row["origin"].startswith("solidmark ")} == {"ok"}


def agreed(run, **options):
    return plan.cases(Options(profile="standard", seeds="0", **options), run)


def test_what_differs_between_processes_is_taken_from_the_first(tmp_path, install):
    draws = iter(range(1, 100))
    install("careless", guides(settings=lambda self: [type(self)(next(draws) / 8), type(self)(0.1)]))
    first, second = agreed(tmp_path), agreed(tmp_path)
    assert [(case.slug, case.case_id, case.weight) for case in first] == [(c.slug, c.case_id, c.weight) for c in second]
    drawn = [case.case.composition.parameters["value"] for case in second if case.family == "careless"]
    assert drawn == [1 / 8, 0.1]


def test_a_family_that_fails_in_one_process_alone_has_the_same_cases_there(tmp_path, install, monkeypatch):
    install("careless", guides())
    first = agreed(tmp_path)
    monkeypatch.setattr(plugins, "discover", DISCOVER)
    install("careless", lambda: 1 / 0)
    second = agreed(tmp_path)
    assert [(case.slug, case.stages, case.weight) for case in first] == [(c.slug, c.stages, c.weight) for c in second]
    [reason] = [case.broken.reason for case in second if case.broken]
    assert "ZeroDivisionError" in reason


def test_parameters_that_a_class_does_not_keep_are_named(install):
    forgets = guides(__post_init__=lambda self: object.__setattr__(self, "value", 3))
    install("careless", forgets)
    assert "as another process has them" in plugins.remade("careless", [{"value": 0.5}]).reason


def test_strangers_are_no_controls_and_no_reference_curves(install):
    install("careless", guides(control=True, reference_curve=True))
    [mine], _ = planned()
    composition = mine.case.composition
    assert (composition.control, composition.reference_curve, len(composition.notes)) == (False, False, 2)
    own = plugins.published("guidance-scale")
    assert (Composition((own,)).reference_curve, Composition((own,)).notes) == (True, [])


def attempted(measure):
    outcome = recorder.attempt(plan.cases(Options(seeds="0"))[0], 20.0, measure)
    return outcome.numbers, outcome.failure


@pytest.mark.parametrize("error", [KeyboardInterrupt("mine"), SystemExit(3), GeneratorExit(), Unfriendly()])
def test_what_a_plugin_raises_is_an_error_of_its_row(error):
    def measure(case):
        raise error

    numbers, failure = attempted(measure)
    assert numbers["status"] == "error"
    assert type(error).__name__ in numbers["reason"]
    assert failure


def test_the_user_s_interruption_ends_the_run():
    with pytest.raises(KeyboardInterrupt):
        attempted(lambda case: signal.raise_signal(signal.SIGINT))


def test_what_a_hook_or_query_raises_is_a_fault_by_its_name():
    def exits(*_):
        raise SystemExit(3)

    hooks = Hooks(Composition((Part("careless", guides(guidance=exits)()),)), 0, "test")
    with pytest.raises(PluginFault, match=r"careless.*guidance: found SystemExit: 3"):
        hooks.guidance(1.0, 0.0)
    with pytest.raises(PluginFault, match="query careless: found SystemExit: 3"):
        queries._guard("query careless", exits)


@pytest.mark.parametrize(("kind", "reason"), [(lambda: 1 / 0, "ZeroDivisionError"), (dict, "dict"), (Unplain, "not JSON")])
def test_a_query_that_cannot_be_used_costs_no_other(install, kind, reason):
    install("careless", lambda: kind() if kind.__name__ == "<lambda>" else kind, GROUPS["query"])
    cases = plan.cases(Options(profile="full", seeds="0"))
    [mine] = [case for case in cases if case.family == "query-careless"]
    assert reason in mine.broken.reason
    assert {len(case.case.queries) for case in cases if case.case} == {len(DISCOVER(GROUPS["query"]))}


def test_a_child_that_somebody_else_kills_is_asked_again(monkeypatch):
    fates = iter([(0, trial.KILLED), (1, None)])
    monkeypatch.setattr(trial, "_one_child", lambda *_: next(fates))
    assert trial._tried(["module:Class"], 1.0) == {}


@dataclass(frozen=True)
class Drawn(Attack):
    level: float = 0.5
    shape: tuple = (1, 2)


@dataclass(frozen=True)
class Forgets(Drawn):
    def __post_init__(self):
        object.__setattr__(self, "level", 0.7)


def test_a_query_has_the_fields_of_the_process_that_came_first(tmp_path):
    first, later = ({"x": Drawn(level, (level,))} for level in (0.1, 0.9))
    assert plan.agreed_objects("query", first, Options(), tmp_path) == first
    assert plan.agreed_objects("query", later, Options(), tmp_path) == first
    assert plan.agreed_objects("query", later, Options(seeds="1"), tmp_path) == later
    assert plan.agreed_objects("query", later, Options(), None) == later


def test_a_query_that_does_not_keep_its_fields_is_a_fault(tmp_path):
    plan.agreed_objects("query", {"x": Drawn()}, Options(), tmp_path)
    with pytest.raises(PluginFault, match=r"query x: found fields .*0\.7.*as another process has them"):
        plan.agreed_objects("query", {"x": Forgets()}, Options(), tmp_path)


@pytest.mark.parametrize(
    ("told", "count", "delta"),
    [({"epsilon": 1.0, "delta": 0.99}, 64, 1 / 64), ({"epsilon": 1.0, "delta": 1e-5}, 64, 1e-5), ({"delta": 0.5}, 64, 0.0)],
)
def test_a_delta_above_one_image_in_all_claims_nothing(told, count, delta):
    assert measure._claimed_delta({"training": SimpleNamespace(reported={"x": told})}, count) == delta


def test_a_count_of_evaluations_only_grows():
    counts = Evaluations()
    counts.forward += 3
    with pytest.raises(PluginFault, match="forward: found 0 after 3"):
        counts.forward = 0
    assert (counts.since(Evaluations(5, 0)).forward, counts.copy()) == (-2, Evaluations(3, 0))


def test_an_author_s_check_survives_and_names_the_same_faults():
    log = rules.FaultLog()
    with log.step("hook"):
        raise KeyboardInterrupt
    draws = iter(range(100))
    for kind in (guides(settings=lambda self: [self, type(self)(next(draws) + 2)]), guides(value=2**63)):
        with log.step("settings"):
            rules.check_settings(kind())
    expected = ("hook: KeyboardInterrupt", "the same settings each time", "a whole number of 2**63")
    assert [part in fault for part, fault in zip(expected, log.faults, strict=True)] == [True] * 3, log.faults
