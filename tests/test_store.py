"""The store: built once, published whole, verified on reading; a damaged entry is set aside and built anew."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solidmark import store as stores
from solidmark.errors import InvalidValue
from solidmark.store import MANIFEST, Store, canonical, default_root, digest

KEY = {"seed": 0, "network": [8, 16]}
WEIGHTS = bytes(range(256)) * 4


def build(folder):
    """Two files, one of them in a folder of its own; each build adds a byte to a count next to the store."""
    (folder / "network").mkdir()
    (folder / "network" / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    with (folder.parent.parent.parent / "builds").open("ab") as file:
        file.write(b".")


def builds(root):
    path = root.parent / "builds"
    return path.stat().st_size if path.exists() else 0


def never(folder):
    raise AssertionError("built although it was there")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


def leftovers(root):
    return [path for part in ("objects/*/*", "tmp/*", "quarantine/*") for path in root.glob(part)]


def test_a_missing_entry_is_built_and_afterwards_found(root):
    folder = Store(root).get("model", KEY, build)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert Store(root).get("model", KEY, never) == folder
    assert builds(root) == 1


def test_the_order_of_a_keys_parts_does_not_matter_and_everything_else_does(root):
    store = Store(root)
    first = store.get("model", {"a": 1, "b": 2}, build)
    assert store.get("model", {"b": 2, "a": 1}, never) == first
    others = [store.get(kind, key, build) for kind, key in [("power", {"a": 1, "b": 2}), ("model", {"a": 1, "b": 3})]]
    assert len({first, *others}) == 3


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()))
def test_equal_keys_have_one_canonical_form_that_reads_back(key):
    backwards = dict(reversed(key.items()))
    assert canonical(key) == canonical(backwards)
    assert json.loads(canonical(key)) == key
    assert digest(key) == digest(backwards)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, Path("a"), object(), b"x"])
def test_a_key_without_one_form_is_our_fault_and_writes_nothing(root, value):
    store = Store(root)
    with pytest.raises((TypeError, ValueError)):
        store.get("model", {"key": value}, build)
    assert leftovers(root) == []


def test_what_build_raises_passes_through_and_leaves_nothing_behind(root):
    def fails(folder):
        build(folder)
        raise KeyError("colour")

    store = Store(root)
    with pytest.raises(KeyError, match="colour"):
        store.get("model", KEY, fails)
    assert leftovers(root) == []
    assert store.get("model", KEY, build).is_dir()


def test_a_file_that_build_misses_is_not_taken_for_a_full_disk(root):
    with pytest.raises(FileNotFoundError, match="images"):
        Store(root).get("model", KEY, lambda folder: (folder / "images").read_bytes())
    assert leftovers(root) == []


def test_an_interrupted_build_leaves_nothing_behind(root):
    def interrupted(folder):
        build(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(root).get("model", KEY, interrupted)
    assert leftovers(root) == []


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


DAMAGES = [cut, flip, empty, Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES, ids=["truncated", "flipped", "emptied", "deleted"])
@pytest.mark.parametrize("name", ["model.safetensors", "network/config.json", MANIFEST])
def test_a_damaged_entry_is_set_aside_noted_and_built_anew(root, name, damage):
    folder = Store(root).get("model", KEY, build)
    damage(folder / name)
    store = Store(root)
    assert (store.get("model", KEY, build) / "model.safetensors").read_bytes() == WEIGHTS
    assert builds(root) == 2
    assert len(list((root / "quarantine").iterdir())) == 1
    assert len(store.notes) == 1
    assert folder.name[:8] in store.notes[0]


@pytest.mark.parametrize(
    "text", ["[]", "{}", "null", '{"files": []}', '{"files": {"a": 3}}', '{"files": {"a": [1]}}', "\xff"]
)
def test_a_manifest_of_another_shape_is_damage_too(root, text):
    folder = Store(root).get("model", KEY, build)
    (folder / MANIFEST).write_bytes(text.encode("latin-1"))
    assert list(Store(root).entries()) == []
    assert Store(root).get("model", KEY, build) == folder
    assert builds(root) == 2


def test_any_byte_of_a_manifest_may_flip_and_the_weights_are_right(root):
    folder = Store(root).get("model", KEY, build)
    manifest = (folder / MANIFEST).read_bytes()
    for index in range(0, len(manifest), 7):
        altered = manifest[:index] + bytes([manifest[index] ^ 4]) + manifest[index + 1 :]
        (folder / MANIFEST).write_bytes(altered)
        again = Store(root).get("model", KEY, build)
        assert (again / "model.safetensors").read_bytes() == WEIGHTS
        assert Store(root).verify()[1] == []


def test_an_entry_that_is_cut_after_its_first_use_is_still_noticed(root):
    store = Store(root)
    cut(store.get("model", KEY, build) / "model.safetensors")
    assert (store.get("model", KEY, build) / "model.safetensors").read_bytes() == WEIGHTS


def test_verify_separates_sound_entries_from_damaged_ones(root):
    store = Store(root)
    damaged = store.get("model", KEY, build)
    store.get("model", {"seed": 1}, build)
    flip(damaged / "model.safetensors")
    sound, faults = store.verify()
    assert sound == 1
    assert faults == [f"{damaged.name}: model.safetensors was altered"]
    assert not damaged.exists()


def test_entries_have_kind_key_and_size_and_leave_out_the_unreadable(root):
    store = Store(root)
    store.get("model", KEY, build)
    (store.get("power", KEY, build) / MANIFEST).write_text("torn")
    [entry] = store.entries()
    assert (entry.kind, entry.key, entry.size) == ("model", KEY, len(WEIGHTS) + 2)
    assert abs(entry.built - time.time()) < 60


def aged(root, days):
    """Entries last used so many days ago."""
    for number, age in enumerate(days):
        folder = Store(root).get("model", {"seed": number}, build)
        os.utime(folder / MANIFEST, (time.time() - 86400 * age,) * 2)


@pytest.mark.parametrize(
    ("older", "keep_entries", "left"),
    [(5, 0, [1]), (5, 2, [1, 9]), (0.5, 1, [1]), (20, 0, [1, 9, 10]), (0.5, 0, []), (0.5, 5, [1, 9, 10])],
)
def test_collecting_removes_the_longest_unused_first_until_enough_is_free(root, older, keep_entries, left):
    aged(root, [9, 1, 10])
    Store(root).collect(older, keep_bytes=keep_entries * (len(WEIGHTS) + 2))
    ages = [round((time.time() - entry.used) / 86400) for entry in Store(root).entries()]
    assert sorted(ages) == left


def test_what_is_asked_for_again_is_used_again(root):
    aged(root, [9, 10])
    Store(root).get("model", {"seed": 1}, never)
    assert [entry.key for entry in Store(root).collect(5)] == [{"seed": 0}]


@pytest.mark.parametrize(("limit", "left"), [("", 3), ("1e-9", 1), ("1", 3)])
def test_a_limit_of_the_store_removes_what_no_run_of_today_uses(root, monkeypatch, limit, left):
    monkeypatch.setenv("SOLIDMARK_STORE_LIMIT", limit)
    aged(root, [0, 0])
    for entry in Store(root).entries():
        os.utime(entry.folder / MANIFEST, (time.time() - 86400 * 2,) * 2)
    Store(root).get("model", {"seed": 2}, build)
    assert len(list(Store(root).entries())) == left


def test_what_is_asked_for_while_others_are_removed_stays(root, monkeypatch):
    aged(root, [9, 9])
    entries = [*Store(root).entries()]
    listed = Store.entries

    def asked_for(store):
        yield from listed(store)
        os.utime(entries[0].folder / MANIFEST)

    monkeypatch.setattr(Store, "entries", asked_for)
    assert [entry.name for entry in Store(root).collect(5)] == [entries[1].name]
    assert Store(root)._find_fault(entries[0].name) is None
    assert not [*(root / "tmp").iterdir()]


def test_a_limit_leaves_what_interrupted_trainings_have_saved(root, monkeypatch):
    monkeypatch.setenv("SOLIDMARK_STORE_LIMIT", "0")
    saved = Store(root).unfinished("model", KEY)
    saved.mkdir()
    os.utime(saved, (0, 0))
    Store(root).get("model", {"seed": 1}, build)
    assert saved.is_dir()
    Store(root).collect(5)
    assert not saved.exists()


@pytest.mark.parametrize("limit", ["-1", "many", "nan", "inf"])
def test_a_limit_that_is_no_size_is_refused(root, monkeypatch, limit):
    monkeypatch.setenv("SOLIDMARK_STORE_LIMIT", limit)
    with pytest.raises(InvalidValue, match="SOLIDMARK_STORE_LIMIT"):
        Store(root)


def test_collecting_clears_dead_builds_and_leaves_those_under_way(root):
    store = Store(root)
    dead = root / "tmp" / f"{'0' * 64}.1.dead"
    dead.mkdir()
    os.utime(dead, (0, 0))

    def collects(folder):
        os.utime(folder, (0, 0))
        Store(root).collect(0)
        build(folder)

    assert (store.get("model", KEY, collects) / "model.safetensors").exists()
    assert not dead.exists()


@pytest.mark.parametrize("target", ["store", "store/objects"])
def test_a_file_in_place_of_the_folder_is_reported_with_the_cure(root, target):
    path = root.parent / target
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    with pytest.raises(InvalidValue, match="SOLIDMARK_STORE"):
        Store(root)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("call", ["mkdir", "rename", "fsync"])
def test_a_disk_that_refuses_is_reported_with_the_cure_and_leaves_nothing_behind(root, monkeypatch, call, code):
    store = Store(root)

    def refuses(*_, **__):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as full:
        full.setattr(os, call, refuses)
        with pytest.raises(InvalidValue, match=rf"{os.strerror(code)}.*SOLIDMARK_STORE"):
            store.get("model", KEY, build)
    assert leftovers(root) == []
    assert store.get("model", KEY, build).is_dir()


def test_a_disk_that_fills_up_while_building_is_reported_with_the_cure(root):
    def fills(folder):
        build(folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InvalidValue, match="Free some space"):
        Store(root).get("model", KEY, fills)
    assert leftovers(root) == []


def test_an_entry_that_is_there_is_read_from_a_store_that_cannot_be_written(root, monkeypatch):
    folder = Store(root).get("model", KEY, build)
    store = Store(root)
    monkeypatch.setattr(stores, "FileLock", None)
    monkeypatch.setattr(os, "mkdir", None)
    monkeypatch.setattr(os, "rename", None)
    assert store.get("model", KEY, never) == folder


def test_a_process_that_publishes_second_takes_the_entry_that_is_there(root):
    def overtaken(folder):
        build(folder)
        twin = Store(root.parent / "twin" / "store").get("model", KEY, build)
        shutil.copytree(twin, root / "objects" / twin.name[:2] / twin.name)

    (root.parent / "twin").mkdir()
    store = Store(root)
    assert (store.get("model", KEY, overtaken) / "model.safetensors").read_bytes() == WEIGHTS
    assert store.notes == []
    assert list((root / "tmp").iterdir()) == []


def test_the_folder_is_that_of_the_environment_else_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("SOLIDMARK_STORE")
    assert default_root().name == "solidmark"


@pytest.mark.parametrize("variable", ["RuntimeError", "KeyError", None])
def test_a_user_without_a_home_is_told_to_name_a_store(monkeypatch, variable):
    def homeless(name):
        if variable is None:
            return Path("~/.cache") / name
        raise {"RuntimeError": RuntimeError, "KeyError": KeyError}[variable]("uid not found: 4242")

    monkeypatch.delenv("SOLIDMARK_STORE", raising=False)
    monkeypatch.setattr(stores, "user_cache_path", homeless)
    with pytest.raises(InvalidValue, match="Set SOLIDMARK_STORE"):
        default_root()


def locks_raise(monkeypatch, error):
    def refuses(*_, **__):
        raise error

    monkeypatch.setattr(stores.FileLock, "acquire", refuses)


NO_LOCKS = [OSError(code, os.strerror(code)) for code in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)]


@pytest.mark.parametrize("error", [*NO_LOCKS, NotImplementedError("FileSystem does not appear to support flock")], ids=repr)
def test_a_disk_without_locks_is_noted_once_and_work_goes_on(root, monkeypatch, error):
    store = Store(root)
    locks_raise(monkeypatch, error)
    assert store.get("model", KEY, build).is_dir()
    store.get("model", {"seed": 1}, build)
    assert store.verify() == (2, [])
    store.collect(0)
    assert [note for note in store.notes if "has no locks" in note] == store.notes
    assert len(store.notes) == 1


def test_a_lock_that_cannot_be_written_is_named_with_its_own_cure(root, monkeypatch):
    store = Store(root)
    locks_raise(monkeypatch, PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(InvalidValue, match=r"Permission denied.*Remove .*locks.*\.lock or make it writable"):
        store.get("model", KEY, build)


def test_a_process_that_waits_says_so(root):
    store, news, started = Store(root), [], threading.Event()

    def slow(folder):
        started.set()
        time.sleep(1.3)
        build(folder)

    thread = threading.Thread(target=store.get, args=("model", KEY, slow))
    thread.start()
    started.wait()
    Store(root).get("model", KEY, never, progress=lambda *step: news.append(step))
    thread.join()
    assert news[0][0].startswith("waiting for model ")


def slow_build(folder):
    time.sleep(0.3)
    build(folder)


def asks(root, barrier):
    barrier.wait()
    Store(root).get("model", KEY, slow_build)


def killed_while_building(root):
    def dies(folder):
        build(folder)
        os.kill(os.getpid(), signal.SIGKILL)

    Store(root).get("model", KEY, dies)


SPAWN = multiprocessing.get_context("spawn")


def test_two_processes_that_want_one_entry_build_it_once(root):
    barrier = SPAWN.Barrier(2)
    processes = [SPAWN.Process(target=asks, args=(root, barrier)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert builds(root) == 1


def test_a_killed_builder_leaves_no_entry_and_the_next_one_builds(root):
    process = SPAWN.Process(target=killed_while_building, args=(root,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list(Store(root).entries()) == []
    assert Store(root).get("model", KEY, build).is_dir()
    Store(root).collect(-1, keep_bytes=10**9)
    assert list((root / "tmp").iterdir()) == []
    assert builds(root) == 2
