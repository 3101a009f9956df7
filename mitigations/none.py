"""No mitigation: the baseline that every row is compared with."""

from dataclasses import dataclass

from solidmark import Mitigation


@dataclass(frozen=True)
class NoMitigation(Mitigation):
    """Overrides no hook: the empty composition with a name."""

    control = True
