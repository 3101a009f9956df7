"""Channels: whether caption or image unlocks the key, on every testbed."""

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, decide, over_seeds
from solidmark.testbed import Testbed

TESTBEDS = ("digits", "digits-id", "digits-patch", "mnist-class", "mnist")


def run(experiments: Experiments) -> Finding:
    """The channel split: M of caption and image, of the caption alone and of the image alone."""
    queries = ("outpaint", "caption-only", "image-only")
    rows = {
        name: [_split(experiments, experiments.testbed(name), seed, queries) for seed in experiments.seeds]
        for name in TESTBEDS
    }
    series = tuple(
        Series.of(query, [(name, over_seeds([row[query] for row in by_seed])) for name, by_seed in rows.items()])
        for query in queries
    )
    captioned = over_seeds([row["caption-only"] - row["image-only"] for row in rows["digits"]])
    return Finding(
        suite="validity",
        name="channels",
        title="Which channel carries the key",
        rule="On digits the caption alone recalls more than the image alone; the split is shown for the other testbeds.",
        verdict=decide(captioned, above=0.0),
        reason=f"on digits the caption alone has M {captioned.value:+.2f} above the image alone",
        statistic="M of the caption alone less M of the image alone, digits",
        estimate=captioned,
        seeds=experiments.seeds,
        series=series,
        x_title="testbed",
        y_title="M",
        source="Understanding and Mitigating Copying in Diffusion Models, arXiv 2305.20086",
    )


def _split(experiments: Experiments, testbed: Testbed, seed: int, queries: tuple[str, ...]) -> dict[str, float]:
    split, model = testbed.split(seed), experiments.model(testbed, seed)
    return {query: experiments.recall(experiments.ask(testbed, seed, model, query), split).value for query in queries}
