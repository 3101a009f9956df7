"""What the console commands say changes on purpose alone, and what they write: against `commands.txt`.

`python tests/test_command_words.py` writes that file anew; read what changed in it before you commit it.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from golden import Golden
from masks import masked, narrow
from record_samples import case, failed, finding, utility

from solidmark import plugins
from solidmark.__main__ import main
from solidmark.cli import doctor, exports, new
from solidmark.records import Writer
from solidmark.store import Store

KEPT = Golden.beside(__file__, "commands.txt")


def said(*arguments: object) -> str:
    """A command line with what it writes and how it ends."""
    out, words = io.StringIO(), [str(argument) for argument in arguments]
    with redirect_stdout(out), redirect_stderr(out):
        status = main(words)
    return f"$ solidmark {' '.join(words)}\n{out.getvalue()}(ends with {status})\n"


def of_runs() -> str:
    """`report`, `compare` and `show` of runs in files: whole, damaged, apart, missing."""
    with tempfile.TemporaryDirectory() as name, chdir(name):
        here = Path(name)
        for run, m, testbed in (("a", 0.5, "digits"), ("b", 0.7, "digits"), ("c", 0.7, "mnist")):
            for seed in range(3):
                Writer(Path(run)).write(case("x(y=1)", m + seed / 100, seed, "training", testbed=testbed, utility=utility()))
        Writer(Path("a")).write(failed("bad", reason="no room"))
        Writer(Path("b")).write(finding())
        torn = next(Path("c/records").glob("*.jsonl"))
        torn.write_text(torn.read_text() + '{"event": "ca\n')
        told = [
            said("report", "a", "c", "--into", "ac"),
            said("report", "none"),
            said("compare", "a", "b"),
            said("compare", "b", "a", "--all"),
            said("compare", "a", "a"),
            said("compare", "a", "b", "--margin", "0.9"),
            said("compare", "a", "b", "--margin", "1"),
            said("compare", "x", "x(y=1)", "--run", "a"),
            said("compare", "x", "y", "--run", "a"),
            said("compare", "x", "bad", "--run", "a"),
            said("show", "x"),
            said("show", "bad", "a"),
            said("show", "z", "a"),
            said("watch", "a"),
            said("watch", "a", "--every", "0"),
        ]
        return narrow(masked("\n".join(told), here=here, real=here.resolve()))


def of_store() -> str:
    """`store`: what is listed of entries with and without labels, what is damaged, what goes."""
    with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ, {"SOLIDMARK_STORE": name}):
        store = Store(Path(name))
        parts = [["rna", {"class": "RandomNumbers", "share": 0.5}, "a source"], ["agc"], "no part"]
        for kind, key in (
            ("trained model", {"testbed": {"class": "Digits"}, "seed": 1, "parts": []}),
            ("responses", {"query": ["average", {"class": "Average"}], "parts": parts, "seed": 2}),
            ("power", {"query": [], "parts": None}),
        ):
            store.get(kind, key, lambda folder: (folder / "weights").write_bytes(b"x" * 1_234_567))
        told = [said("store", "ls"), said("store", "verify")]
        next(store.root.glob("objects/*/*/weights")).write_bytes(b"y")
        told += [said("store", "verify"), said("store", "ls"), said("store", "gc", "--older", "1")]
        told += [said("store", "gc", "--older", "0", "--max-size", "2"), said("store", "gc", "--max-size", "-1")]
        told += [said("store", "gc", "--older", "-0.5"), said("store", "import", name), said("store", "ls")]
        return narrow(masked("\n".join(told), store=Path(name)))


CHOSEN = ("none", "weight-noise", "digits-1", "outpaint", "csv")
"""One plugin of most kinds, whose words stand for all."""


def of_plugins() -> str:
    """`plugins`: a table, JSON, one of each kind told whole, and one that cannot be loaded."""
    discover = plugins.discover
    entry = SimpleNamespace(load=lambda: (_ for _ in ()).throw(ImportError("no module lost")), name="lost", value="lost:It")

    def few(group: str) -> tuple[plugins.Plugin, ...]:
        lost = [plugins.Plugin("lost", "lost:It", "theirs", "1.0", entry)] if group == plugins.GROUPS["query"] else []
        return (*(plugin for plugin in discover(group) if plugin.name in CHOSEN), *lost)

    with mock.patch.object(plugins, "discover", few):
        told = [said("plugins"), said("plugins", "--check"), said("plugins", "--json"), said("plugins", "lost")]
        told += [said("plugins", name) for name in (*CHOSEN, "wieght-noise")]
    return narrow(masked("\n".join(told)))


def stated(stack: ExitStack, where: object, **found: object) -> None:
    """Let functions of a module give what is stated."""
    for name, value in found.items():
        stack.enter_context(mock.patch.object(where, name, return_value=value))


def of_the_doctor() -> str:
    """`doctor`: each diagnosis, sound and not, on a machine whose parts are stated."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, {"SOLIDMARK_STORE": name}))
        stated(stack, doctor.shutil, disk_usage=SimpleNamespace(free=7.3e9))
        stated(stack, doctor.platform, system="Linux")
        devices = {"visible_gpus": ["a", "b"], "usable_cores": 16, "torch_device": "cuda", "notes": ["one is left out"]}
        stated(stack, doctor.devices, **devices)
        stated(stack, doctor, _entry_points=doctor.Diagnosis("entry points", "stated"))
        stated(stack, plugins, listing=[{"status": "ok"}] * 2)
        told = [said("doctor")]
        stated(stack, doctor.shutil, disk_usage=SimpleNamespace(free=doctor.ROOM))
        stated(stack, doctor.devices, torch_device="cpu", notes=[])
        stated(stack, doctor.FileLock, acquire=None)
        stated(stack, plugins, listing=[{"status": "broken", "name": "lost", "reason": "no module"}])
        stack.enter_context(mock.patch.object(doctor.platform, "python_version", side_effect=OSError("unknown")))
        told.append(said("doctor"))
        return masked("\n".join(told), store=Path(name))


def of_new() -> str:
    """`new`: what it says, every file that it writes, and the names that it refuses."""
    nowhere = mock.patch.object(new, "repository", return_value="")  # however solidmark is installed here
    with tempfile.TemporaryDirectory() as name, chdir(name), nowhere:
        told = [said("new", "quiet-words")]
        told += [f"--- {path}\n{path.read_text()}" for path in sorted(Path().rglob("*")) if path.is_file()]
        for wrong in ("quiet-words", "QuietWords", "Über", "class", "rna", "torch", "pip", "9lives", "a--b"):
            told.append(said("new", wrong))
        return masked("\n".join(told), here=Path(name), real=Path(name).resolve())


ABOUT = {
    "testbed": "latent-digits",
    "mitigation": "rna(share=0.5)",
    "seed": 3,
    "segments": 8,
    "memorization": {"value": 0.81, "low": 0.79, "high": 0.83},
    "certified": {"count": 60, "of": 64},
    "false_discovery_rate": 0.025,
    "held_out": {"memorization": {"value": -0.01, "low": -0.03, "high": 0.02}},
    "solver": {"steps": 25, "name": "fast"},
    "marked": {"trained": 64, "held-out": 256},
    "recipe": {"train_steps": 500, "batch": 64, "learning_rate": 0.001},
    "cost": {"training": {"forward": 19200}},
    "benchmark_version": 1,
}


def of_cards() -> str:
    """The model card: with all that is known, and with what is not."""
    mark = SimpleNamespace(canvas=lambda images: SimpleNamespace(shape=(1, 1, 12, 10)))
    truth = SimpleNamespace(trained=SimpleNamespace(images=[0]))
    of_case = SimpleNamespace(
        testbed=SimpleNamespace(mark=mark), truth=truth, composition=SimpleNamespace(parameters={"share": 0.5})
    )
    known = {"origin": "scans", "licence": "CC-BY-4.0", "code": {"commit": "abc"}}
    unknown = {"origin": "", "licence": "", "code": {"commit": None}}
    plain = SimpleNamespace(**{**vars(of_case), "composition": SimpleNamespace(parameters={})})
    return f"{exports._card(of_case, {**ABOUT, **known})}\n\n{exports._card(plain, {**ABOUT, **unknown})}"


TEXTS: dict[str, Callable[[], str]] = {
    "runs": of_runs,
    "store": of_store,
    "plugins": of_plugins,
    "doctor": of_the_doctor,
    "new": of_new,
    "cards": of_cards,
}


@pytest.mark.parametrize("name", KEPT.names)
def test_commands_say_what_they_said(name: str) -> None:
    KEPT.check(name, TEXTS[name]())


def test_every_command_is_kept() -> None:
    assert KEPT.names == list(TEXTS)


def sections() -> Iterator[tuple[str, str]]:
    """The words of all commands."""
    for name, made in TEXTS.items():
        yield name, made()


if __name__ == "__main__":
    KEPT.write(dict(sections()))
