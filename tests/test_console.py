"""The console script: what each command prints and how it ends."""

import errno
import json
import os
import time

import pytest
from record_samples import case

from solidmark import plugins, records
from solidmark.__main__ import main
from solidmark.cli import doctor
from solidmark.runner import devices
from solidmark.store import Store


def write_run(folder, cases):
    for record in cases:
        records.Writer(folder).write(record)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path / "store"))
    built = Store(tmp_path / "store")
    built.get("trained model", {"seed": 0}, lambda folder: (folder / "weights").write_bytes(b"x" * 2_000_000))
    return built


def test_report_writes_every_format_and_says_where(tmp_path, capsys):
    write_run(tmp_path / "run", [case()])
    assert main(["report", str(tmp_path / "run")]) == 0
    written = capsys.readouterr().out.split()
    names = [os.path.basename(path).removeprefix("leaderboard.") for path in written]
    assert sorted(names) == sorted(plugin.name for plugin in plugins.discover(plugins.REPORTS))
    assert {"csv", "html", "json", "md"} <= {*names}


def test_report_of_several_runs_is_one_table(tmp_path, capsys):
    write_run(tmp_path / "a", [case()])
    write_run(tmp_path / "b", [case("rna(share=0.5)", 0.6, stage="sampling")])
    assert main(["report", str(tmp_path / "a"), str(tmp_path / "b"), "--into", str(tmp_path / "both")]) == 0
    board = json.loads((tmp_path / "both" / "leaderboard.json").read_text())
    assert [row["mitigation"] for row in board["rows"]] == ["none", "rna(share=0.5)"]


def test_report_of_a_folder_that_is_no_run_says_so_and_ends_with_2(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "the folder of a run" in capsys.readouterr().err


def test_a_part_that_measured_nothing_is_set_aside_with_a_note(tmp_path, capsys):
    parts = [str(tmp_path / name) for name in ("empty", "whole")]
    write_run(tmp_path / "whole", [case()])
    (tmp_path / "empty").mkdir()
    assert main(["report", *parts, "--into", str(tmp_path / "both")]) == 2  # it is no run at all
    (tmp_path / "empty" / "run.json").write_text("{}")
    assert main(["report", *parts, "--into", str(tmp_path / "both")]) == 0
    note = "NO RECORDS: empty holds none, and was set aside"
    assert note in capsys.readouterr().err
    assert note in (tmp_path / "both" / "leaderboard.md").read_text()
    assert main(["report", parts[0]]) == 2


def test_runs_of_other_testbeds_are_merged_with_a_warning(tmp_path, capsys):
    write_run(tmp_path / "a", [case()])
    write_run(tmp_path / "b", [case("rna(share=0.5)", 0.6, stage="sampling", testbed="digits-quick")])
    assert main(["report", str(tmp_path / "a"), str(tmp_path / "b"), "--into", str(tmp_path / "both")]) == 0
    assert "NOT COMPARED: b was measured on digits-quick, a on digits" in capsys.readouterr().err
    for name, wrong, notes in (("md", "## What went wrong\n", "## Notes\n"), ("html", 'id="wrong"', 'id="notes"')):
        page = (tmp_path / "both" / f"leaderboard.{name}").read_text()
        before, _, after = page.partition(notes)
        assert "Nothing: no case failed" in before.partition(wrong)[2]
        assert "NOT COMPARED: b was" in after
    assert main(["report", str(tmp_path / "a"), str(tmp_path / "a"), "--into", str(tmp_path / "same")]) == 0
    assert "NOT COMPARED" not in capsys.readouterr().err


def test_one_plugin_is_told_whole(capsys):
    assert main(["plugins", "weight-noise"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("mitigation weight-noise, from solidmark ")
    assert "acts at     post-hoc" in told
    assert "settings    weight-noise(scale=" in told
    assert main(["plugins", "digits"]) == 0
    assert "trained = 64" in capsys.readouterr().out
    assert main(["plugins", "weigth-noise"]) == 2
    assert "Did you mean 'weight-noise'" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "near"), [(["shw"], "show"), (["store", "verfy"], "verify"), (["zzzz"], None)])
def test_a_misspelt_command_is_answered_by_the_nearest(words, near, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert (f"Did you mean {near!r}?" in (told := capsys.readouterr().err)) == bool(near)
    assert "invalid choice" in told


def test_plugins_are_listed_with_their_origin(capsys):
    assert main(["plugins", "--check", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    rna = next(row for row in rows if row["name"] == "rna")
    assert (rna["kind"], rna["status"]) == ("mitigation", "ok")
    assert "solidmark.mitigations.rna:RandomNumbers" in rna["origin"]


def test_the_doctor_finds_nothing_wrong_here(store, capsys):
    assert main(["doctor"]) == 0
    output = capsys.readouterr().out
    assert "BAD" not in output
    assert all(word in output for word in ("python", "packages", "devices", "store", "locks", "entry points", "plugins"))


def test_the_doctor_reports_a_store_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path / "file"))
    assert main(["doctor"]) == 1
    assert "BAD  store" in capsys.readouterr().out


def test_the_doctor_reports_a_disk_without_locks(store, monkeypatch):
    def refuses(*_, **__):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(doctor.FileLock, "acquire", refuses)
    diagnosis = doctor._locks()
    assert not diagnosis.sound
    assert "never wrongly (" in diagnosis.text


@pytest.mark.parametrize("stated", ["NoDevFiles", "void", "-1"])
def test_the_doctor_finds_nothing_wrong_where_no_gpu_is_allotted(monkeypatch, stated):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", stated)
    monkeypatch.setattr(devices, "torch_device", lambda: "cpu")
    diagnosis = doctor._devices()
    assert diagnosis.sound
    assert diagnosis.text.startswith("0 GPUs visible")


@pytest.mark.parametrize(("gpus", "device", "cure"), [(["0"], "cpu", "install a torch"), ([], "cuda", "torch has a GPU")])
def test_the_doctor_says_who_lacks_the_gpu(monkeypatch, gpus, device, cure):
    monkeypatch.setattr(devices, "visible_gpus", lambda: gpus)
    monkeypatch.setattr(devices, "notes", list)
    monkeypatch.setattr(devices, "torch_device", lambda: device)
    assert cure in doctor._devices().text


def test_the_store_is_listed_verified_and_emptied(store, capsys):
    assert main(["store", "ls"]) == 0
    assert "trained model" in capsys.readouterr().out
    assert main(["store", "verify"]) == 0
    next(store.root.glob("objects/*/*/weights")).write_bytes(b"y")
    assert main(["store", "verify"]) == 1
    assert "weights has 1 bytes instead of 2000000" in capsys.readouterr().out
    assert list(store.entries()) == []


def test_old_entries_go_only_while_more_than_the_stated_size_is_stored(store, capsys):
    time.sleep(0.01)
    assert main(["store", "gc", "--older", "0", "--max-size", "5"]) == 0
    assert len(list(store.entries())) == 1
    assert main(["store", "gc", "--older", "0"]) == 0
    assert "1 entries removed, 2.0 MB" in capsys.readouterr().out


def test_a_negative_age_is_refused(store, capsys):
    assert main(["store", "gc", "--older", "-1"]) == 2
    assert "at least 0" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_ends_the_command_in_peace(store, monkeypatch):
    def full(*_, **__):
        raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr("builtins.print", full)
        patch.setattr(os, "dup2", lambda *_: None)
        assert main(["store", "ls"]) == 0


@pytest.mark.parametrize("arguments", [("", "b"), ("a", ""), ("a", "b", "--run", "")])
def test_an_empty_name_of_what_is_compared_is_refused(capsys, arguments):
    with pytest.raises(SystemExit, match="2"):
        main(["compare", *arguments])
    assert "found an empty path; expected a name" in capsys.readouterr().err
