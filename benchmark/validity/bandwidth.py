"""Bandwidth: how many bits an image gives away, against how many keys it has."""

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, decide, over_seeds
from solidmark.metrics import scores

TESTBEDS = {1: "digits-1", 4: "digits-4", 8: "digits", 16: "digits-16", 80: "digits-pixels"}


def run(experiments: Experiments) -> Finding:
    """Leaked bits an image at one training budget: pixel-level memorization as a capacity curve."""
    rows = [{count: _bits(experiments, name, seed) for count, name in TESTBEDS.items()} for seed in experiments.seeds]
    curve = [(float(count), over_seeds([row[count] for row in rows])) for count in TESTBEDS]
    gain = over_seeds([row[80] - row[1] for row in rows])
    text = ", ".join(f"{bits.value:.1f} from {count:.0f}" for count, bits in curve)
    return Finding(
        suite="validity",
        name="bandwidth",
        title="More keys, more leaked bits",
        rule="One key a pixel leaks more bits an image than one key.",
        verdict=decide(gain, above=0.0),
        reason=f"leaked bits an image: {text} keys",
        statistic="bits of a key a pixel less bits of one key",
        estimate=gain,
        seeds=experiments.seeds,
        series=(Series.of("digits", curve),),
        x_title="keys an image",
        y_title="leaked bits an image",
        source="SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592",
        details={"log_x": True},
    )


def _bits(experiments: Experiments, name: str, seed: int) -> float:
    testbed = experiments.testbed(name)
    split = testbed.split(seed)
    responses = experiments.ask(testbed, seed, experiments.model(testbed, seed))
    return scores.leaked_bits(scores.combine(scores.p_values(responses.trained, split.trained_keys.double().numpy()))).value
