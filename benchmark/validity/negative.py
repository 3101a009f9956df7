"""Negatives: models that cannot know the keys are at chance."""

from dataclasses import replace

from solidmark import models, seeds
from solidmark.experiments import Lab
from solidmark.findings import Finding, Series, all_of, decide, over_seeds
from solidmark.metrics import scores

MARGIN = 0.1


def run(lab: Lab) -> Finding:
    """Other keys, a network as it was initialised, and one trained on unmarked images."""
    rows = [_row(lab, seed) for seed in lab.seeds]
    points = [(name, over_seeds([row[name] for row in rows])) for name in rows[0]]
    furthest = max((one for _, one in points), key=lambda one: abs(one.value))
    told = ", ".join(f"{name} {one.value:+.3f}" for name, one in points)
    return Finding(
        suite="validity",
        name="negative",
        title="Who cannot know the keys is at chance",
        rule=f"M of each lies within {MARGIN} of 0.",
        verdict=all_of([decide(one, above=-MARGIN, below=MARGIN) for _, one in points]),
        reason=f"M: {told}",
        statistic="the M furthest from 0",
        estimate=furthest,
        seeds=lab.seeds,
        series=(Series.of("digits", points),),
        x_title="asked",
        y_title="M",
    )


def _row(lab: Lab, seed: int) -> dict[str, float]:
    testbed = lab.testbed("digits")
    board, trained = testbed.board(seed), lab.model(testbed, seed)
    blank = lab.model(testbed, seed, with_keys=False)
    fresh = models.build(testbed.recipe.network, seeds.torch_rng(seed, "a network that was never trained")).frozen()
    other = board.other_keys.double().numpy()
    swapped = replace(board, trained=board.held_out.take(range(len(board.trained))))
    return {
        "other keys": scores.memorization(lab.ask(testbed, seed, trained).trained, other).value,
        "initialised": lab.recall(lab.ask(testbed, seed, fresh), board).value,
        "trained unmarked": lab.recall(lab.ask(testbed, seed, blank), board).value,
        "other images": lab.recall(lab.ask(testbed, seed, trained, board=swapped), board).value,
    }
