"""Options: how much a run measures, by profile, and what the user asked for on the command line. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidValue, UnknownName

PREFIX = "--solidmark-"
NAMES = (
    "profile testbed mitigation pipeline pipeline-class pipeline-call seeds queries solver run-dir resume case-timeout "
    "strict-findings workers-per-gpu progress no-references shard"
)
SHORT_NAMES = {f"--{name}": f"{PREFIX}{name}" for name in NAMES.split()} | {"--protocol": f"{PREFIX}solver"}
"""Short names of options, and the name that pytest knows: another plugin may have an option of the short name."""


def with_long_names(arguments: Iterable[str]) -> list[str]:
    """Command-line arguments with each short name written out, those in `@file` too; nothing after `--` is a name."""
    written = _expanded(arguments)
    names = written[: written.index("--")] if "--" in written else written
    return [_long(argument) for argument in names] + written[len(names) :]


def _long(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return f"{SHORT_NAMES.get(name, name)}{equals}{value}"


def _expanded(arguments: Iterable[str]) -> list[str]:
    """Arguments with each `@file` replaced by its lines, as pytest reads it; one that cannot be read is left to pytest."""
    written: list[str] = []
    for argument in arguments:
        try:
            lines = Path(argument[1:]).read_text(encoding="utf-8").splitlines() if argument.startswith("@") else None
        except (OSError, ValueError):
            lines = None
        written += [argument] if lines is None else _expanded(lines)
    return written


@dataclass(frozen=True)
class Profile:
    """How much a run measures.

    Without `every_setting` each family is measured at its published default, and each reference curve at the settings
    that it takes to draw it: two where a setting costs a training. Controls, other forms of a family and families at home on
    another testbed are left out (`left_out.reason`). `testbed` is measured where the user
    names none.
    """

    name: str
    seeds: tuple[int, ...]
    every_setting: bool
    queries: tuple[str, ...] | None
    """None: all installed queries."""
    testbed: str = "digits"
    experiments: bool = False
    """Whether experiments are part of it: the validity suite, the copy metrics, and the claims of papers."""
    unmarked: bool = True
    """Whether a model is trained without marks as well, to measure what marks cost."""


QUICK_QUERIES = ("outpaint", "caption-only")
"""Plain generation is done for content anyway, so that `caption-only` costs nothing; and who notices that an image is asked
for, and answers otherwise, is seen."""
MAIN_QUERIES = (*QUICK_QUERIES, "by-content", "outpaint-weights", "image-only", "average")
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", (0,), False, QUICK_QUERIES, testbed="digits-quick", unmarked=False),
        Profile("standard", (0, 1, 2), True, MAIN_QUERIES),
        Profile("full", tuple(range(8)), True, None, experiments=True),
    )
}


@dataclass(frozen=True)
class Options:
    """What the user asked for on the command line; None where an option was left out."""

    profile: str = "quick"
    testbeds: tuple[str, ...] = ()
    mitigations: tuple[str, ...] = ()
    seeds: str | None = None
    queries: str | None = None
    solver: str = "fast"
    pipeline: str | None = None
    pipeline_class: str | None = None
    pipeline_call: str | None = None
    shard: str | None = None
    """`I/N`: the part of the plan that this run measures."""
    references: bool = True
    """Whether a named mitigation brings the reference curves of its stages, without which it has no verdict."""

    def foreign(self) -> tuple[str, ...]:
        """The rows of a stranger's pipeline, as expressions.

        They are his weights by the suite's own sampler, where he has any, the stock pipeline of the same weights, and his.
        """
        given = {"pipeline_class": self.pipeline_class, "call": self.pipeline_call}
        stated = ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
        answering = ["pipeline", *([f"pipeline({stated})"] if stated else [])]
        if self.pipeline is None:
            return tuple(answering) if stated else ()
        weights = f"trained-elsewhere(folder={self.pipeline!r})"
        return (weights, *(f"{weights}+{one}" for one in answering))

    def chosen_profile(self) -> Profile:
        """The profile. Raises UnknownName."""
        if self.profile not in PROFILES:
            raise UnknownName.among("--profile", self.profile, PROFILES)
        return PROFILES[self.profile]

    def testbed_list(self) -> tuple[str, ...]:
        """The testbeds asked for, else the profile's. Raises UnknownName."""
        return self.testbeds or (self.chosen_profile().testbed,)

    def seed_list(self) -> tuple[int, ...]:
        """The seeds asked for, else the profile's. Raises InvalidValue."""
        return parse_seeds(self.seeds) if self.seeds is not None else self.chosen_profile().seeds


MOST_SEEDS = 10_000
"""Seeds of one command: beyond it a typing error is more likely than that many trainings."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0,1,5` or `0-7`: distinct whole numbers of at least 0, and no more than `MOST_SEEDS`. Raises InvalidValue."""
    try:
        seeds: list[int] = []
        for part in text.split(","):
            first, dash, last = part.partition("-")
            lowest, highest = int(first), int(last if dash else first)
            if not 0 <= highest - lowest < MOST_SEEDS - len(seeds):  # before a list is made of them
                raise ValueError(text)
            seeds += range(lowest, highest + 1)
        if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
            raise ValueError(text)
    except ValueError as cause:
        expected = f"at most {MOST_SEEDS} whole numbers such as 0,1,2 or 0-7"
        raise InvalidValue("--seeds", repr(text), expected, "Write such a list.") from cause
    return tuple(seeds)
