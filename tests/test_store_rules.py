"""Rules of the store, of provenance and of notes, each by itself: what is written to the disk, limits met exactly, names."""

import errno
import json
import os
import time
from types import SimpleNamespace

import pytest

from solidmark import provenance, timeouts
from solidmark import store as stores
from solidmark.errors import DamagedFile, InvalidValue
from solidmark.store import DISK_REFUSES, MANIFEST, NO_LOCKS, Store


def write(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "a").write_text("aaaa")
    (folder / "b").write_text("b")


def test_every_file_of_an_entry_and_its_folder_are_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    opened, synced, closed = {}, [], []
    keep = {name: getattr(os, name) for name in ("open", "fsync", "close")}

    def note(path, flags, *more):
        handle = keep["open"](path, flags, *more)
        opened[handle] = os.path.basename(path) if str(tmp_path) in str(path) else ""
        return handle

    store, work = Store(tmp_path), tmp_path / "tmp" / "work"
    work.mkdir()
    write(work)
    monkeypatch.setattr(os, "open", note)
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(opened[handle]) or keep["fsync"](handle))
    monkeypatch.setattr(os, "close", lambda handle: closed.append(opened.get(handle)) or keep["close"](handle))
    store._publish(work, tmp_path / "objects" / "ab" / "abc")
    assert (sorted(synced), synced[-1]) == (["a", "b", "work"], "work")
    assert [name for name in closed if name] == synced
    assert (tmp_path / "objects" / "ab" / "abc" / "deep" / "a").read_text() == "aaaa"


@pytest.mark.parametrize("number", [*sorted(DISK_REFUSES), errno.EIO, errno.ENOENT])
def test_a_disk_that_refuses_is_the_users_to_mend_and_any_other_fault_is_ours(tmp_path, number):
    expected = InvalidValue if number in DISK_REFUSES else OSError
    with pytest.raises(expected) as caught, Store(tmp_path)._disk_errors():
        raise OSError(number, "text")
    assert isinstance(caught.value, InvalidValue) is (number in DISK_REFUSES)


@pytest.mark.parametrize("number", sorted(NO_LOCKS))
def test_a_disk_without_locks_is_no_fault(tmp_path, number):
    store, lock = Store(tmp_path), SimpleNamespace(acquire=lambda timeout: (_ for _ in ()).throw(OSError(number, "none")))
    assert [store._acquire(lock, "x", lambda *_: None) for _ in range(2)] == [False, False]
    assert len(store.notes) == 1


def test_whoever_waits_for_a_lock_asks_each_second_and_says_how_long(tmp_path):
    told, tries = [], []

    def acquire(timeout):
        tries.append(timeout)
        if len(tries) < 4:
            raise stores.Timeout("x")

    assert Store(tmp_path)._acquire(SimpleNamespace(acquire=acquire), "waiting", lambda *words: told.append(words))
    assert (tries, told) == ([1] * 4, [("waiting", seconds, 0) for seconds in (1, 2, 3)])


@pytest.mark.parametrize(("stated", "limit"), [("", None), ("0", 0), ("2.5", 2_500_000_000)])
def test_a_limit_is_in_gigabytes(tmp_path, monkeypatch, stated, limit):
    monkeypatch.setenv("SOLIDMARK_STORE_LIMIT", stated)
    assert Store(tmp_path).limit == limit


def test_a_store_has_an_entry_that_is_sound_and_no_other(tmp_path):
    store = Store(tmp_path)
    assert not store.has("b", {"seed": 1})
    folder = store.get("b", {"seed": 1}, write)
    assert [store.has("b", key) for key in ({"seed": 1}, {"seed": 2})] == [True, False]
    assert not store.has("c", {"seed": 1})
    store.set_aside(folder.name, "it was built beside changed code")
    assert (store.has("b", {"seed": 1}), len(list((tmp_path / "quarantine").iterdir()))) == (False, 1)
    note = f"store entry {folder.name[:8]} was damaged (it was built beside changed code); set aside as "
    assert [text.startswith(note) for text in store.notes] == [True]


def test_what_is_used_exactly_at_the_limit_is_removed_and_a_build_of_that_age_is_not(tmp_path, monkeypatch):
    store = Store(tmp_path)
    folder = store.get("b", {}, write)
    (tmp_path / "tmp" / "dead.1.x").mkdir()
    now = time.time()
    for path in (folder / MANIFEST, tmp_path / "tmp" / "dead.1.x"):
        os.utime(path, (now - 172800, now - 172800))
    seen = (folder / MANIFEST).stat().st_mtime
    monkeypatch.setattr(stores, "time", SimpleNamespace(time=lambda: seen + 172800))
    assert store.collect(2.001) == []
    assert [entry.size for entry in store.collect(2)] == [5]
    assert (tmp_path / "tmp" / "dead.1.x").exists()
    assert store.collect(1.999) == []
    assert not (tmp_path / "tmp" / "dead.1.x").exists()


def test_a_manifest_says_what_an_entry_is_and_what_is_in_it(tmp_path):
    folder = Store(tmp_path).get("kind", {"seed": 1}, write, label="words")
    told = json.loads((folder / MANIFEST).read_text())
    assert (told["schema"], told["kind"], told["key"], told["label"]) == (1, "kind", {"seed": 1}, "words")
    assert {name: size for name, (size, _) in told["files"].items()} == {"b": 1, "deep/a": 4}
    entry = Store(tmp_path)._read_entry(folder)
    assert (entry.name, entry.folder, entry.kind, entry.size, entry.label) == (folder.name, folder, "kind", 5, "words")
    assert (entry.built, entry.used) == (told["built"], (folder / MANIFEST).stat().st_mtime)
    (folder / MANIFEST).write_text("{}")
    with pytest.raises(DamagedFile, match="KeyError"):
        Store(tmp_path)._read_entry(folder)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from .a import x", ["pkg.a"]),
        ("from . import b, c", ["pkg.b", "pkg.c"]),
        ("from pkg.d import x", ["pkg.d"]),
        ("from ..e import x", []),
        ("from pkg import f", []),
        ("from pkgs.g import x", []),
        ("import pkg.h", []),
        ("def late():\n    from .i import x", ["pkg.i"]),
    ],
)
def test_neighbours_are_those_that_a_module_imports_from_its_own_package(source, found):
    assert provenance._beside("pkg.mine", source) == found


@pytest.mark.parametrize(
    ("arguments", "told"), [(["/some/pytest", "-x", "/a/b"], ["pytest", "-x", "/a/b"]), (["pytest"], ["pytest"]), ([], [])]
)
def test_arguments_of_a_run_are_told_without_the_folder_of_the_program(monkeypatch, arguments, told):
    monkeypatch.setattr(provenance, "code", dict)
    monkeypatch.setattr(provenance, "packages", lambda: {"p": "1"})
    monkeypatch.setattr(provenance, "machine", lambda: {"cores": 1})
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    facts = provenance.run(arguments, ["a plugin"])
    assert (facts["arguments"], facts["plugins"], facts["packages"], facts["machine"]) == (
        told,
        ["a plugin"],
        {"p": "1"},
        {"cores": 1},
    )
    assert facts["environment"]["OMP_NUM_THREADS"] == "3"
    assert {*facts["environment"]} <= {*provenance.ENVIRONMENT}


STACK = 'Thread 0x1 (most recent call first):\n  File "/x/other.py", line 1 in f\n\nThread 0x2 (most recent call first):\n'


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            f'case\n12\n{STACK}  File "/x/mine.py", line 7 in deaf\n  File "/x/run.py", line 9 in main\n',
            "mine.py, line 7 in deaf",
        ),
        (f"case\n12\n{STACK}", None),
        ("case\n12\n", None),
        (f'other\n12\n{STACK}  File "/x/mine.py", line 7 in deaf\n', None),
    ],
)
def test_the_last_line_of_a_process_is_the_innermost_of_its_main_thread(tmp_path, text, place):
    assert timeouts.last_location(tmp_path / "none", "case") is None
    (tmp_path / "note").write_text(text)
    assert timeouts.last_location(tmp_path / "note", "case") == place


def test_a_frame_is_told_by_its_file_line_and_function():
    import sys

    frame = sys._getframe()
    line = frame.f_lineno + 1
    assert timeouts._location(frame) == f"test_store_rules.py, line {line}, in {frame.f_code.co_name}"
    assert timeouts._location(None) == "an unknown line"
