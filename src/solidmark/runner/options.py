"""Profiles and wishes: how much a run asks, and what the user said on the command line. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidValue, UnknownName


@dataclass(frozen=True)
class Profile:
    """How much a run asks. `every_strength` off: the published default of each family, and of each reference curve what
    it takes to draw it, every second strength where a strength costs a training.

    `testbed` is measured where the user names none.
    """

    name: str
    seeds: tuple[int, ...]
    every_strength: bool
    queries: tuple[str, ...] | None
    """None: every query that is found."""
    testbed: str = "digits"
    experiments: bool = False
    """Whether the experiments of the validity suite and of concordance are part of it."""
    unmarked: bool = True
    """Whether a model is trained without marks as well, to tell what marks cost."""


MAIN_QUERIES = ("outpaint", "outpaint-weights", "image-only", "caption-only", "average")
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", (0,), False, ("outpaint",), testbed="digits-quick", unmarked=False),
        Profile("standard", (0, 1, 2), True, MAIN_QUERIES),
        Profile("full", tuple(range(8)), True, None, experiments=True),
    )
}


@dataclass(frozen=True)
class Wish:
    """What the user asked for on the command line; None where nothing was said."""

    profile: str = "quick"
    testbeds: tuple[str, ...] = ()
    mitigations: tuple[str, ...] = ()
    seeds: str | None = None
    queries: str | None = None
    protocol: str = "fast"

    def chosen(self) -> Profile:
        """The profile. Raises UnknownName."""
        if self.profile not in PROFILES:
            raise UnknownName.among("--profile", self.profile, PROFILES)
        return PROFILES[self.profile]

    def testbed_list(self) -> tuple[str, ...]:
        """The testbeds asked for, else the profile's. Raises UnknownName."""
        return self.testbeds or (self.chosen().testbed,)

    def seed_list(self) -> tuple[int, ...]:
        """The seeds asked for, else the profile's. Raises InvalidValue."""
        return parse_seeds(self.seeds) if self.seeds is not None else self.chosen().seeds


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0,1,5` or `0-7`: distinct whole numbers of at least 0. Raises InvalidValue."""
    try:
        seeds: list[int] = []
        for part in text.split(","):
            first, dash, last = part.partition("-")
            seeds += range(int(first), int(last) + 1) if dash else [int(first)]
        if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
            raise ValueError(text)
    except ValueError as cause:
        raise InvalidValue("--seeds", repr(text), "whole numbers such as 0,1,2 or 0-7", "Write them so.") from cause
    return tuple(seeds)
