"""A hostile package, installed into a fresh environment: each of its plugins is caught and named, and harms no other row."""

import shutil
from pathlib import Path

import fresh
import pytest
from strangers import World, timeless

from solidmark import records

HOSTILE = Path(__file__).parent / "hostile"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    commands = fresh.environment(folder / "environment")
    shutil.copytree(HOSTILE, folder / "package")
    fresh.install(commands, folder / "package")
    return World(folder, str(commands / "python"))


@pytest.fixture(scope="module")
def clean(world):
    """Rows of other plugins, before it was installed."""
    return world.run("-n", "0", "-k", "x-good-s0 or x-good-0 or tiny-none", "--run-dir", "clean", name="clean")


@pytest.fixture(scope="module")
def ran(world, clean):
    names = "hostile or x-good-s0 or x-good-0 or tiny-none"
    hangs = "not hostile-hang and not hostile-deaf"
    arguments = ("--queries", "outpaint,hostile-query", "--run-dir", "run")
    return world.run("-n", "0", "-k", f"({names}) and {hangs}", *arguments)


@pytest.fixture(scope="module")
def careless(world, clean):
    names = "hostile-random or hostile-fork or hostile-interrupt or hostile-thread or hostile-replace"
    names += " or x-good-s0 or x-good-0 or tiny-none"
    return world.run("-n", "1", "-k", names, "--run-dir", "careless", name="careless")  # so that each has a case behind it


@pytest.fixture(scope="module")
def hung(world, clean):
    names = "hostile-hang or hostile-deaf or x-good-s0 or x-good-0"
    return world.run("-n", "1", "-k", names, "--case-timeout", "8", "--run-dir", "hung", name="hung")


@pytest.mark.parametrize(
    ("family", "status", "message"),
    [
        ("frames", "failed_check", "planted keys that the query or hostile-frames has looked up: M = +1.000"),
        ("split", "failed_check", "held-out images: M = +1.000"),
        ("constant", "failed_check", "mark not valid"),
        ("seeds", "error", "hostile-seeds, condition: found the global generator of NumPy and torch drawn from or seeded"),
        ("init", "error", "entry point hostile-init = hostile:RaisesInInit): RuntimeError: no instance today"),
        ("device", "error", "hostile-device, condition: found (80, 9, 8) torch.float32 on meta"),
        ("exit", "error", "SystemExit: 3"),
        ("settings", "error", "hostile-settings: found default dtype of the process changed"),
        ("parameter", "error", "NoRecordHoldsIt.thing: found an object of type object"),
        ("needs", "error", "NeedsNonsense has needs = 'everything'"),
        ("nan", "error", "DefaultIsNan.factor: found nan"),
        ("interrupt", "error", r"hostile-interrupt, guidance: found KeyboardInterrupt: \x1b[31mred \udc80"),
        ("cost", "error", "count of evaluations, forward: found 0 after"),
        ("import", "error", "its import ends the process, exit code 7"),
    ],
)
def test_each_is_caught_and_named(ran, family, status, message):
    record = ran.any_record(f"hostile-{family}")
    reasons = [str(record.get("reason")), *(record.get("controls") or {}).get("faults", [])]
    assert record["status"] == status, reasons
    assert [reason for reason in reasons if message in reason], reasons


@pytest.mark.parametrize("run", ["ran", "careless"])
@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("replace", "solidmark.metrics.scores.memorization became hostile.ReplacesScore.guidance"),
        ("thread", "a thread goes on at hostile.py, line"),
    ],
)
def test_what_is_changed_for_all_rows_is_a_fault_of_who_changed_it(request, run, family, message):
    record = request.getfixturevalue(run).record(f"hostile-{family}")
    reasons = [str(record.get("reason")), *(record.get("controls") or {}).get("faults", [])]
    assert record["status"] in ("failed_check", "error")
    assert [reason for reason in reasons if message in reason], reasons


def test_a_worker_that_gives_up_is_replaced_and_no_case_is_blamed(careless):
    assert "is replaced: tiny-hostile-" in careless.output
    assert not [record for record in records.read(careless.run).records if record["event"] == "crash"]


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("hang", "mitigation hostile-hang: found no end after 8 s; it was at hostile.py, line"),
        ("deaf", "no end after 12 s, nor a way to interrupt it, at hostile.py, line"),
    ],
)
def test_a_plugin_that_hangs_ends_in_time_and_the_record_has_its_line(hung, family, message):
    record = hung.any_record(f"hostile-{family}")
    assert (record["status"], message in record["reason"]) == ("timeout", True), record["reason"]


def test_a_hang_stalls_no_other_row_and_is_not_tried_again(hung):
    assert hung.record("x-good")["status"] == "ok"
    assert "hostile-deaf" in (hung.run / "leaderboard.md").read_text()
    assert len([record for record in records.read(hung.run)[0] if "hostile-deaf" in record["slug"]]) == 1


def test_a_default_that_differs_in_each_process_is_that_of_the_first(careless):
    assert careless.record("hostile-random")["status"] == "ok"
    assert "Different tests were collected" not in careless.output


@pytest.mark.parametrize("run", ["ran", "careless"])
def test_each_case_is_recorded_once_whoever_forks(request, run):
    written = [record["slug"] for record in records.read(request.getfixturevalue(run).run)[0]]
    assert "tiny-hostile-fork-s0" in written
    assert len(set(written)) == len(written)


def test_the_page_is_written_without_escape_codes(ran, careless):
    pages = [path.read_text() for run in (ran, careless) for path in run.run.glob("leaderboard.*")]
    assert pages
    assert "\x1b" not in "".join(pages)


def test_an_official_name_stays_official(ran):
    assert ran.record("none")["family"] == "none"
    assert ran.record("hostile:none")["mitigation"] == "hostile:none"


def test_a_name_that_pytest_could_not_select_is_a_named_row(ran):
    assert "begins with a letter" in ran.any_record("_hostile-name")["reason"]


def test_a_query_that_has_the_keys_from_elsewhere_is_found_out_by_a_model_that_never_saw_them(ran):
    faults = ran.record("none")["controls"]["faults"]
    assert [
        fault for fault in faults if fault.startswith("hostile-query, keys that the perfect memorizer never saw: M = +1")
    ]


def numbers(record):
    """A record without times and places, and without its place among the rows."""
    return {name: part for name, part in timeless(record).items() if name != "order"}


@pytest.mark.parametrize("family", ["none", "x-good"])
def test_other_rows_have_the_records_that_they_had_without_it(clean, careless, family):
    assert numbers(careless.record(family)) == numbers(clean.record(family))


@pytest.mark.parametrize("family", ["none", "x-good"])
def test_beside_a_query_of_its_own_they_have_the_same_numbers_too(clean, ran, family):
    before, after = numbers(clean.record(family)), numbers(ran.record(family))
    for part in ("utility", "denoising_loss", "sources", "parameters", "not_applicable"):
        assert after[part] == before[part]
    assert after["queries"]["outpaint"] == before["queries"]["outpaint"]
    assert after["content"]["own"]["auroc"] == before["content"]["own"]["auroc"]
