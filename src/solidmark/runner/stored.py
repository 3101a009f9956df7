"""What the store will hold of a plan: its models, each once, counted and weighed before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..measurement.case import Case
from ..mitigation import Needs, Stage
from ..mitigation.composition import Composition
from ..testbed import Testbed

Model = tuple[object, ...]
"""What tells models of one testbed apart."""


def stored_bytes(cases: Iterable[tuple[str, Case]]) -> int:
    """Bytes of all models of these cases of one testbed, by the event of their record, from an empty store.

    Every row is compared with the baseline's; rows that are edited or need models of halves have more than one besides.
    """
    given = list(cases)
    if not given:
        return 0
    testbed = given[0][1].testbed
    models = {model for event, case in given for model in _models(event, case)}
    return len(models) * testbed.stored_bytes() + besides_bytes(testbed, len({case.seed for _, case in given}))


def besides_bytes(testbed: Testbed, seeds: int) -> int:
    """What is trained before any row: an autoencoder, and a base model for each of so many seeds."""
    from ..models.saved import model_bytes, space_bytes

    base = seeds * model_bytes(testbed.base.network) if testbed.base is not None else 0
    return base + (space_bytes(testbed.recipe.network) if testbed.autoencoder is not None else 0)


def _models(event: str, case: Case) -> Iterator[Model]:
    """What is trained and edited for a case: the baseline, whose answers stand beside each, and the case's own."""
    trained = case.composition.at(Stage.TRAINING).label
    yield case.seed, Composition().label
    yield case.seed, trained
    if event == "testbed":
        yield case.seed, trained, "unmarked"
    if Needs.HALVES in case.composition.needs:
        yield from ((case.seed, trained, half) for half in (0, 1))
    if Stage.POST_HOC in case.composition.stages:
        yield case.seed, trained, "edited", case.composition.at(Stage.POST_HOC).label
