"""The commands in process: defaults of options, names of new plugins, the doctor's findings, passphrases and progress."""

import ast
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from solidmark.__main__ import main, parser
from solidmark.cli import collection, doctor, imports, new, stores, terminal
from solidmark.errors import InvalidValue
from solidmark.runner import devices

WHERE = ["--ledger", "l", "--marked", "o", "--into", "i"]
NOTHING = {"passphrase_file": None}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["mark", "images", "out"],
            {
                "images": Path("images"), "out": Path("out"), "ledger": None, "hold_out": 0.5, "size": None, "keys": 8,
                "thickness": None, "inside": False, "caption_column": None, "workers": None, "encrypt": False,
                "image_column": "image", "split": "train",
            },
        ),
        (
            ["measure", *WHERE],
            {
                "ledger": Path("l"), "marked": Path("o"), "into": Path("i"), "model": None, "lora": None, "steps": None,
                "pipeline_class": None, "pipeline_call": None, "checkpoints": None, "guidance": None, "batch": 1,
                "seed": 0, "limit": None, "resolution": None, "content": False, "without_captions": False,
                "device": "cpu", "dtype": "float32",
            },
        ),
        (["certify", "r", "--ledger", "l"], {"measured": Path("r"), "ledger": Path("l"), "into": None}),
        (
            ["verify", "c", "--ledger", "l"],
            {"certificate": Path("c"), "ledger": Path("l"), "marked": None, "commitment": None},
        ),
    ],
)  # fmt: skip
def test_options_of_a_data_owner_have_their_defaults(words, expected):
    found = vars(parser().parse_args(words))
    assert {name: value for name, value in found.items() if name != "command"} == {**expected, **NOTHING}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["report", "a", "b"], {"runs": [Path("a"), Path("b")], "into": None}),
        (["new", "x"], {"name": "x"}),
        (["plugins"], {"name": None, "check": False, "json": False}),
        (["store", "gc"], {"older": 30.0, "max_size": 0.0}),
        (
            ["store", "export", "t", "f"],
            {"testbeds": ["t"], "into": Path("f"), "mitigation": "none", "seed": 0, "seeds": None, "device": "cpu"},
        ),
        (["store", "import", "a", "b"], {"folders": [Path("a"), Path("b")]}),
        (["store", "gc", "--older", "2", "--max-size", "5"], {"older": 2.0, "max_size": 5.0}),
    ],
)
def test_options_of_a_benchmarker_have_their_defaults(words, expected):
    found = vars(parser().parse_args(words))
    assert {name: value for name, value in found.items() if name != "command"} == expected


@pytest.mark.parametrize(
    "words", [["report"], ["store"], [], ["measure"], ["certify", "r"], ["verify", "c"], ["measure", *WHERE[2:]]]
)
def test_what_a_command_needs_must_be_given(words, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    assert ended.value.code == 2
    assert "required" in capsys.readouterr().err


def test_an_interrupted_command_ends_with_130(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["doctor"]) == 130
    assert "go on when they are run again" in capsys.readouterr().err


@pytest.mark.parametrize(("sound", "code", "word"), [(True, 0, "ok   a: fine"), (False, 1, "BAD  a: fine")])
def test_the_doctor_ends_as_it_finds(monkeypatch, capsys, sound, code, word):
    monkeypatch.setattr(doctor, "examine", lambda: [doctor.Diagnosis("a", "fine", sound), doctor.Diagnosis("b", "c")])
    assert main(["doctor"]) == code
    assert capsys.readouterr().out.splitlines() == [word, "ok   b: c"]


@pytest.mark.parametrize(("status", "check", "code"), [("ok", True, 0), ("broken", False, 0), ("broken", True, 1)])
def test_plugins_are_a_table_and_broken_ones_end_with_1_where_that_is_checked(monkeypatch, capsys, status, check, code):
    row = {"name": "x", "status": status, "origin": "here", "reason": None}
    monkeypatch.setattr("solidmark.plugins.listing", lambda group: [row])
    assert main(["plugins", *["--check"] * check]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["kind", "name", "status", "acts", "at", "needs", "paper", "from", "reason"]
    assert [line.split()[:4] for line in lines[2:]][-1] == ["report", "x", status, "here"]


@pytest.mark.parametrize(("free", "sound"), [(500_000_000, False), (500_000_001, True)])
def test_a_store_wants_half_a_gigabyte(monkeypatch, tmp_path, free, sound):
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path / "new" / "store"))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    found = doctor._store()
    assert (found.sound, found.text) == (sound, f"{tmp_path / 'new' / 'store'}, 0.5 GB free")


@pytest.mark.parametrize(("version", "sound"), [((3, 10, 9), False), ((3, 11, 0), True)])
def test_a_python_older_than_3_11_is_too_old(monkeypatch, version, sound):
    monkeypatch.setattr(doctor, "sys", SimpleNamespace(version_info=version))
    assert doctor._python().sound is sound


def test_an_examination_that_raises_is_a_diagnosis(monkeypatch):
    for name in ("_python", "_versions", "_devices", "_store", "_locks", "_entry_points"):
        monkeypatch.setattr(doctor, name, lambda: doctor.Diagnosis("fine", ""))
    monkeypatch.setattr(doctor.plugins, "listing", lambda group: 1 / 0)
    assert doctor.examine()[-1] == doctor.Diagnosis("plugins", "ZeroDivisionError: division by zero", sound=False)
    assert [each.sound for each in doctor.examine()] == [True] * 6 + [False]


def test_broken_plugins_are_named_by_the_doctor(monkeypatch):
    rows = [{"name": "a", "status": "broken", "reason": "no b"}, {"name": "c", "status": "ok", "reason": None}]
    monkeypatch.setattr(doctor.plugins, "listing", lambda group: rows if group == "solidmark.queries" else [])
    assert doctor._plugins() == doctor.Diagnosis("plugins", "2 found, broken: a (no b)", sound=False)


def test_an_entry_point_that_the_installation_lacks_is_named(monkeypatch):
    every = doctor.plugins.discover
    monkeypatch.setattr(doctor.plugins, "discover", lambda group: [one for one in every(group) if one.name != "rna"])
    found = doctor._entry_points()
    assert not found.sound
    assert re.match(r"not installed: (.*, )?rna[,;]", found.text)


def test_devices_are_counted_with_what_was_left_out(monkeypatch):
    facts = {"visible_gpus": ["0", "1"], "usable_cores": 6, "torch_device": "cuda", "notes": ["one is busy"], "workers": 2}
    for name, value in facts.items():
        monkeypatch.setattr(devices, name, lambda *_, value=value: value)
    text = "2 GPUs visible, 6 cores, torch on cuda; -n auto means 2 workers; one is busy"
    assert doctor._devices() == doctor.Diagnosis("devices", text)


@pytest.mark.parametrize(
    ("name", "module", "kind"), [("quiet-words", "quiet_words", "QuietWords"), ("a", "a", "A"), ("x2-y", "x2_y", "X2Y")]
)
def test_names_of_module_and_class_follow_the_package(name, module, kind):
    assert (new.module_name(name), new.class_name(name)) == (module, kind)


def test_a_new_package_has_files_that_name_it(tmp_path):
    written = new.write("quiet-words", tmp_path)
    places = ["pyproject.toml", "quiet_words.py", "tests/test_quiet_words.py", ".github/workflows/solidmark.yml"]
    assert [path.relative_to(tmp_path / "quiet-words").as_posix() for path in written] == places
    assert 'quiet-words = "quiet_words:QuietWords"' in written[0].read_text()
    classes = [node.name for node in ast.parse(written[1].read_text()).body if isinstance(node, ast.ClassDef)]
    assert classes == ["QuietWords"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("QuietWords", "Write quiet-words"),
        ("2fast", "Write fast"),
        ("class", "lower-case words"),
        ("rna", "a mitigation of that name, from solidmark"),
        ("torch", "torch, which is installed"),
        ("null", "lower-case words"),
        ("../up", "Write up"),
    ],
)
def test_a_name_that_will_not_do_is_refused_with_a_cure(tmp_path, name, message):
    with pytest.raises(InvalidValue, match=message):
        new.write(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_left_alone(tmp_path):
    (tmp_path / "quiet-words").mkdir()
    with pytest.raises(InvalidValue, match="exists"):
        new.write("quiet-words", tmp_path)


def test_a_passphrase_is_in_the_file_then_in_the_environment_then_asked_for(tmp_path, monkeypatch):
    (tmp_path / "p").write_text("from a file \r\n")
    monkeypatch.setenv("SOLIDMARK_PASSPHRASE", "stated")
    assert collection.passphrase(SimpleNamespace(passphrase_file=tmp_path / "p")) == "from a file "
    assert collection.passphrase(SimpleNamespace(passphrase_file=None)) == "stated"
    monkeypatch.delenv("SOLIDMARK_PASSPHRASE")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(collection.getpass, "getpass", lambda words: f"asked: {words}")
    assert collection.passphrase(SimpleNamespace(passphrase_file=None)) == "asked: passphrase of the ledger: "


def test_without_a_passphrase_or_its_file_the_option_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("SOLIDMARK_PASSPHRASE", raising=False)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    with pytest.raises(InvalidValue, match="one in SOLIDMARK_PASSPHRASE or in --passphrase-file"):
        collection.passphrase(SimpleNamespace(passphrase_file=None))
    with pytest.raises(InvalidValue, match="expected a file with a passphrase"):
        collection.passphrase(SimpleNamespace(passphrase_file=tmp_path / "none"))


def test_progress_is_shown_each_twentieth_time_and_at_the_end_of_a_terminal_alone(monkeypatch, capsys):
    show = terminal.progress()
    show("marking", 20, 40)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for done in (19, 20, 21):
        show("marking", done, 21)
    assert capsys.readouterr().err == "\rmarking 20 of 21\rmarking 21 of 21\n"


@pytest.mark.parametrize(("count", "lines", "code"), [(0, 0, 0), (1, 1, 1), (10, 10, 1), (12, 11, 1)])
def test_ten_images_that_were_left_out_are_named_and_the_others_counted(capsys, count, lines, code):
    assert collection._left_out({f"{n}.png": "torn" for n in range(count)}) == code
    told = capsys.readouterr().err.splitlines()
    assert len(told) == lines
    assert all("was left out: torn" in line for line in told[:10])
    assert count <= 10 or "2 more" in told[10]


def test_the_folder_of_a_file_that_is_named_is_meant(tmp_path):
    (tmp_path / "record.json").touch()
    assert collection._folder(tmp_path / "record.json") == collection._folder(tmp_path) == tmp_path


LETTERS = "0123456789abcdef"


@pytest.mark.parametrize(
    ("name", "whole"),
    [(LETTERS * 4, True), ("0" * 64, True), (LETTERS * 4 + "0", False), ("0" * 63, False), ("g" * 64, False), (64, False)],
)
def test_the_name_of_an_entry_is_a_sha256(name, whole):
    assert imports._is_name(name) is whole


def test_an_entry_is_listed_with_what_it_is_of():
    parts = [["weight-noise", {"class": "WeightNoise", "scale": 0.1}, "solidmark 0.2.0 digest"]]
    key = {"parts": [*parts, [], 3], "seed": 0, "query": ["outpaint", {}, "digest"]}
    entry = SimpleNamespace(name="0123456789abcdef", kind="answers", label="", key=key, size=2_345_678, built=0.0)
    name, kind, of, size, built = stores._row(entry)
    assert (name, kind, of, size) == ("0123456789ab", "answers", "outpaint, weight-noise(scale=0.1), seed 0", "2.3 MB")
    entry.label = "digits, none, seed 0"
    assert stores._row(entry)[2] == entry.label
    assert built[:4] in ("1969", "1970")
    assert stores._described({}) == ""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "takes it"),
        ({"core": "x"}, "another version of solidmark, so"),
        ({"core": "x", "libraries": {}}, " and other libraries, so"),
    ],
)
def test_an_imported_model_is_taken_where_todays_code_would_make_it(monkeypatch, changed, words):
    monkeypatch.setattr(imports.provenance, "core_digest", lambda stage: f"core of {stage == imports.provenance.TRAINING}")
    monkeypatch.setattr(imports.provenance, "libraries", lambda: {"torch": "2"})
    key = {"core": "core of True", "libraries": {"torch": "2"}, **changed}
    assert words in imports._use(SimpleNamespace(key=key))
