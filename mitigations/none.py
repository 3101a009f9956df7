"""No mitigation: the baseline that every row is compared with."""

from dataclasses import dataclass

from solidmark import Mitigation


@dataclass(frozen=True)
class NoMitigation(Mitigation):
    """Opens no door: the empty composition under a name."""

    control = True
