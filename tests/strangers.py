"""A third party's distribution, written to disk as pip would install it, and a world in which the benchmark runs it."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import sessions

from solidmark import records

SOURCE = '''
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from solidmark import Mitigation, Sampler, Stage, Trainer
from solidmark.api import Answer, Attack, Recipe, SolverConfig
from solidmark.fixtures.digits import Digits

ONCE = Path(__file__).with_name("killed-once")


@dataclass(frozen=True)
class Tiny(Digits):
    """16 digits and a network that learns nothing in three steps."""
    trained: int = 16
    held_out: int = 64
    generated: int = 16
    recipe: Recipe = Recipe(network=replace(Digits().recipe.network, widths=(8,), text_width=8), train_steps=3, batch=8)
    solvers: ClassVar[dict[str, SolverConfig]] = {"fast": SolverConfig(steps=6), "paper": SolverConfig("paper", 12)}


@dataclass(frozen=True)
class Good(Mitigation):
    factor: float = 0.5
    def guidance(self, scale, step_fraction):
        return self.factor * scale


@dataclass(frozen=True)
class GoodAtTraining(Mitigation):
    stage = Stage.TRAINING
    def caption(self, captions, rng):
        return [caption + " more" for caption in captions]


@dataclass(frozen=True)
class Raises(Mitigation):
    def guidance(self, scale, step_fraction):
        raise RuntimeError("the stranger's own mistake")


@dataclass(frozen=True)
class GivesNan(Mitigation):
    stage = Stage.SAMPLING
    def condition(self, embeddings, rng):
        return embeddings * float("nan")


@dataclass(frozen=True)
class WrongShape(Mitigation):
    stage = Stage.SAMPLING
    def condition(self, embeddings, rng):
        return embeddings[:, :1]


class Gray(Sampler):
    def after(self, x, x0, t, batch):
        return x * 0


@dataclass(frozen=True)
class Graying(Mitigation):
    """Answers every query with one gray."""
    def sampler(self, inner):
        return Gray(self, inner)


@dataclass(frozen=True)
class Inactive(Mitigation):
    def guidance(self, scale, step_fraction):
        return scale


@dataclass(frozen=True)
class Killer(Mitigation):
    def guidance(self, scale, step_fraction):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class KilledOnce(Mitigation):
    def guidance(self, scale, step_fraction):
        if not ONCE.exists():
            ONCE.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 0.5 * scale


class NotAMitigation:
    pass


@dataclass(frozen=True)
class Constant(Attack):
    """The same answer for every image."""
    def ask(self, audit):
        return Answer(torch.full((len(audit.examples), audit.mark.segments), 0.25))


@dataclass(frozen=True)
class Peeks(Attack):
    """Looks for keys where there should be none, and finds planted ones."""
    def ask(self, audit):
        return Answer(audit.keys.clone())


@dataclass(frozen=True)
class AnswersNan(Attack):
    def ask(self, audit):
        return Answer(audit.read(audit.outpaint()) * float("nan"))


@dataclass(frozen=True)
class Greedy(Attack):
    """Spends twice what it declares."""
    def ask(self, audit):
        audit.outpaint()
        return Answer(audit.read(audit.outpaint(draw=1)))
'''

ENTRIES = """
[solidmark.testbeds]
tiny = strangers:Tiny

[solidmark.queries]
y-constant = strangers:Constant
y-greedy = strangers:Greedy
y-nan = strangers:AnswersNan
y-peeks = strangers:Peeks

[solidmark.mitigations]
x-good = strangers:Good
x-good-training = strangers:GoodAtTraining
x-missing = no_such_module:Thing
x-raises = strangers:Raises
x-nan = strangers:GivesNan
x-shape = strangers:WrongShape
x-graying = strangers:Graying
x-inactive = strangers:Inactive
x-killer = strangers:Killer
x-killed-once = strangers:KilledOnce
x-class = strangers:NotAMitigation
x-twin = strangers:Good
"""


def install(folder: Path) -> Path:
    """Write two distributions, which share one name, into a folder that a Python path can point to."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "strangers.py").write_text(SOURCE)
    metadata(folder, "strangers", ENTRIES)
    metadata(folder, "others", "[solidmark.mitigations]\nx-twin = strangers:Good\n")
    return folder


def metadata(folder: Path, name: str, entries: str) -> None:
    """The metadata that pip writes for a distribution."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)


@dataclass(frozen=True)
class Ran:
    """A run that has ended: its folder, what it printed, its exit code."""

    run: Path
    output: str
    code: int

    def record(self, family: str) -> records.Record:
        latest = records.latest(records.read(self.run)[0])
        return next(record for record in latest if record.get("family") == family and record["event"] == "case")

    def any_record(self, family: str) -> records.Record:
        """The record of any writer: the controller writes that of a case whose worker was ended."""
        return next(record for record in records.latest(records.read(self.run)[0]) if record.get("family") == family)


def timeless(value):
    """A record, or a part of one, without the values that differ between two equal runs."""
    if isinstance(value, dict):
        moving = ("seconds", "peak_bytes", "t", "pid", "worker")
        return {name: timeless(part) for name, part in value.items() if name not in moving}
    return value


class World:
    """A folder with a third party's distributions, a store, and runs."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder, self.python = folder, python
        path = os.pathsep.join([str(install(folder / "site")), os.environ.get("PYTHONPATH", "")])
        self.environment = {**os.environ, "PYTHONPATH": path, "SOLIDMARK_STORE": str(folder / "store")}
        self.environment.pop("PYTEST_XDIST_WORKER", None)

    def run(self, *arguments: str, name: str = "run", testbed: str = "tiny") -> Ran:
        command = ["--pyargs", "solidmark.benchmark", "--testbed", testbed, "-W", "error", "-p", "no:cacheprovider"]
        done = sessions.run([*command, *arguments], self.folder, self.environment, self.python)
        return Ran(self.folder / name, done.stdout + done.stderr, done.returncode)
