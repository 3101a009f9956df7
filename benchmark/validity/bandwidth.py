"""Bandwidth: how many bits of an image come back, against how many keys it carries."""

from solidmark.experiments import Lab
from solidmark.findings import Finding, Series, decide, over_seeds
from solidmark.metrics import scores

TESTBEDS = {1: "digits-1", 4: "digits-4", 8: "digits", 16: "digits-16", 80: "digits-pixels"}


def run(lab: Lab) -> Finding:
    """Leaked bits an image at one training budget: pixel-level memorization as a capacity curve."""
    rows = [{count: _bits(lab, name, seed) for count, name in TESTBEDS.items()} for seed in lab.seeds]
    curve = [(float(count), over_seeds([row[count] for row in rows])) for count in TESTBEDS]
    gain = over_seeds([row[80] - row[1] for row in rows])
    told = ", ".join(f"{one.value:.1f} from {count:.0f}" for count, one in curve)
    return Finding(
        suite="validity",
        name="bandwidth",
        title="More keys, more leaked bits",
        rule="One key a pixel leaks more bits an image than one key.",
        verdict=decide(gain, above=0.0),
        reason=f"leaked bits an image: {told} keys",
        statistic="bits of a key a pixel less bits of one key",
        estimate=gain,
        seeds=lab.seeds,
        series=(Series.of("digits", curve),),
        x_title="keys an image",
        y_title="leaked bits an image",
        source="SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592",
        details={"log_x": True},
    )


def _bits(lab: Lab, name: str, seed: int) -> float:
    testbed = lab.testbed(name)
    board = testbed.board(seed)
    asked = lab.ask(testbed, seed, lab.model(testbed, seed))
    return scores.leaked_bits(scores.combine(scores.p_values(asked.trained, board.trained_keys.double().numpy()))).value
