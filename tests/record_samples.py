"""Records for tests of comparison and reports: valid, with numbers of one's choice, without any model."""

from __future__ import annotations

from functools import cache
from typing import Any

from scipy import stats

from solidmark.findings import Finding, Series, Verdict
from solidmark.metrics.scores import Estimate

Record = dict[str, Any]

HOSTILE = "<script>alert(1)</script>|`x`\n[a](b) $x$ _y & \"'"
"""A name that tries to be markup, a column, a line or a formula."""

SOLVER = {"name": "fast", "steps": 25, "eta": 1.0, "guidance": 3.0, "batch": 128}


def estimate(value: float, error: float = 0.01, images: int = 64) -> Record:
    """{value low high error} with the t interval of one seed."""
    margin = float(stats.t.ppf(0.975, images - 1)) * error
    numbers = {"value": value, "low": value - margin, "high": value + margin, "error": error}
    return {**numbers, "chance": 0.0, "images": images}


def share(count: int, of: int, chance: float = 0.0) -> Record:
    """{count of low high chance} with the Clopper-Pearson interval."""
    low, high = exact_limits(count, of)
    return {"count": count, "of": of, "low": low, "high": high, "chance": chance}


@cache
def exact_limits(count: int, of: int) -> tuple[float, float]:
    """The Clopper-Pearson interval; kept, for a sum of tests asks for the same ones."""
    interval = stats.binomtest(count, of).proportion_ci()
    return float(interval.low), float(interval.high)


def scored(m: float = 0.88, error: float = 0.01, images: int = 64, epsilon: float = 13.0) -> Record:
    """The scores of one query."""
    certified = round(max(m, 0.0) * images)
    return {
        "memorization": estimate(m, error, images),
        "certified": share(certified, images),
        "avoided": share(round(max(-m, 0.0) * images), images),
        "leaked_bits": {"value": 20 * m, "low": 20 * m - 1, "high": 20 * m + 1, "chance": 0.0, "keys": 8},
        "epsilon": {"low": epsilon, "confidence": 0.95, "adjacency": "replace one key", "delta": 0.0},
        "within": {d: share(certified * 4, images * 8, 2 * float(d)) for d in ("0.1", "0.05", "0.005")},
        "auroc": {"value": 0.9, "low": 0.85, "high": 0.95, "chance": 0.5},
        "tpr_at_1_fpr": share(certified, images, 0.0117),
        "permutation_p": 0.0002,
        "access": "black-box",
        "held_out": negative(-0.003, 0.013, 256),
        "marks": {"spread": 0.24, "unevenness": 0.07, "decoy_error": 0.2},
        "evaluations": {"forward": 16000, "backward": 0, "images": 320, "seconds": 4.0},
    }


def negative(m: float, error: float, images: int) -> Record:
    """The scores of predictions that know no key."""
    p_values = {"chance_p": 0.8, "uniform_p": 0.3}
    return {"memorization": estimate(m, error, images), "certified": share(0, images), "epsilon": {"low": 0.0}, **p_values}


def worst(queries: Record) -> Record | None:
    """A worst case that always chose the query with the largest M, and finds what that one does; None without any."""
    if not queries:
        return None
    best = max(queries, key=lambda name: queries[name]["memorization"]["value"])
    scores = {name: queries[best][name] for name in ("memorization", "certified", "epsilon")}
    return {**scores, "chosen": {name: float(name == best) for name in queries}, "queries": len(queries)}


def content(
    own: float | None, emitted: float, certified: tuple[int, int] = (40, 40), images: int = 64, error: float = 0.03
) -> Record:
    """The content block: AUROC from the own caption (None: there is none) and from any, and how many are certified."""

    def score(area: float, count: int) -> Record:
        limits = {"low": max(area - 2 * error, 0.0), "high": min(area + 2 * error, 1.0)}
        block = {"value": area, **limits, "chance": 0.5}
        return {"auroc": block, "images": images, "permutation_p": 0.001, "certified": share(count, images), "least": 10}

    work = {"forward": 16000, "backward": 0, "seconds": 4.0, "images": 320}
    own_score = None if own is None else score(own, certified[0])
    return {"own": own_score, "any": score(emitted, certified[1]), "evaluations": work, "shared": False}


def utility(right: int | None = 164) -> Record:
    """The utility of 256 generated images; no accuracy where none are `right` or wrong."""
    numbers = {
        "accuracy": None if right is None else share(right, 256, 0.1),
        "frechet": {"value": 2.9, "real": 0.6},
        "kernel": {"value": 0.12, "real": -0.02},
        "diversity": share(161, 256),
    }
    work = {"forward": 12800, "backward": 0, "images": 256, "seconds": 3.0}
    ways = {"fresh captions": {**numbers, "evaluations": work}}
    return {**numbers, "diversity_real": 0.93, "judge_accuracy": 0.9, "ways": ways}


def case(mitigation: str = "none", m: float = 0.88, seed: int = 0, stage: str = "none", **changed: Any) -> Record:
    """The record of a finished case; `changed` replaces whole fields."""
    family, _, setting = mitigation.partition("(")
    queries = changed.get("queries", {"outpaint": scored(m)})
    parameters = dict(pair.split("=") for pair in setting.removesuffix(")").split(", ") if "=" in pair)
    return {
        **heading(mitigation, seed),
        "event": "case",
        "family": family,
        "stage": stage,
        "needs": [],
        "control": stage == "none",
        "reference": "A title, arXiv 2503.00592",
        "parameters": {name: float(value) for name, value in parameters.items()},
        "solver": SOLVER,
        "status": "ok",
        "queries": queries,
        "not_applicable": {},
        "worst": worst(queries),
        "worst_service": worst({name: block for name, block in queries.items() if block["access"] == "black-box"}),
        "controls": controls(),
        "power": {name: {"value": 1.0, "low": 1.0, "high": 1.0} for name in queries},
        "utility": utility(),
        "cost": cost(),
        "provenance": {"environment_key": "cpu-torch2.13.0-float32", "peak_bytes": 10**9},
        **changed,
    }


def heading(mitigation: str, seed: int) -> Record:
    """What a finished case and a broken one have in common."""
    slug = f"digits-{mitigation}-s{seed}"
    return {
        "schema": "solidmark.record/2",
        "t": "2026-01-02T03:04:05Z",
        "worker": "gw0",
        "case_id": f"id-{slug.encode().hex()}",
        "slug": slug,
        "benchmark_version": 1,
        "testbed": "digits",
        "mitigation": mitigation,
        "family": mitigation.partition("(")[0],
        "seed": seed,
    }


def controls(faults: tuple[str, ...] = ()) -> Record:
    """The controls block; not sound where it has faults."""
    marks = {"spread": 0.24, "unevenness": 0.07, "decoy_error": 0.2}
    return {
        "held_out": negative(-0.003, 0.013, 256),
        "other_keys": negative(0.002, 0.025, 64),
        "power": {"value": 1.0, "low": 1.0, "high": 1.0},
        "mark_valid": {"valid": True, **marks, "baseline": marks},
        "active": True,
        "faults": list(faults),
        "sound": not faults,
    }


def cost(training: int = 19200) -> Record:
    """Evaluations of a training and of the sampling of 256 images."""
    return {
        "training": {"forward": training, "backward": training, "seconds": 25.0},
        "editing": {"forward": 0, "backward": 0, "seconds": 0.0},
        "sampling": {"forward": 12800, "backward": 0, "seconds": 3.0, "images": 256},
    }


def failed(mitigation: str, seed: int = 0, status: str = "error", reason: str = "it broke", **changed: Any) -> Record:
    """The record of a case without numbers."""
    empty = dict.fromkeys(("queries", "controls", "utility", "cost"))
    record = case(mitigation, seed=seed, stage="training")
    for name in ("not_applicable", "worst", "power"):
        del record[name]
    return {**record, **empty, "status": status, "reason": reason, **changed}


def crash(mitigation: str, seed: int = 0, attempt: int = 1) -> Record:
    """The record of a worker that was killed."""
    record = heading(mitigation, seed)
    del record["benchmark_version"], record["seed"]
    return {**record, "event": "crash", "status": "crashed", "attempt": attempt, "reason": "worker 'gw0' crashed"}


def of_testbed(seed: int = 0, right: int | None = 200, **changed: Any) -> Record:
    """The record of a testbed: power of its queries and utility without marks."""
    return {
        **heading("none", seed),
        "event": "testbed",
        "case_id": f"testbed-{seed}",
        "slug": f"digits-s{seed}",
        "solver": SOLVER,
        "status": "ok",
        "power": {
            "outpaint": {"value": 1.0, "low": 1.0, "high": 1.0},
            "image-only": {"value": 0.3, "low": 0.2, "high": 0.4},
        },
        "unmarked": {"utility": utility(right)},
        "expected": "M 0.85 or more, 62 of 64 certified, power 1",
        **changed,
    }


def finding(
    name: str = "dose", verdict: str = "holds", x: tuple[float | str, ...] = (0.0, 1.0, 4.0), order: int = 0, **changed: Any
) -> Record:
    """The record of an experiment of the validity suite; `changed` replaces whole fields."""
    y = tuple(0.1 + 0.2 * number for number in range(len(x)))
    low, high = (tuple(value + shift for value in y) for shift in (-0.05, 0.05))
    result = Finding(
        suite="validity",
        name=name,
        title=f"M rises with the {name}",
        rule="The slope lies above 0.",
        verdict=Verdict(verdict),
        reason="it rises from point to point",
        statistic="slope of M",
        estimate=Estimate(0.21, 0.18, 0.24, 0.01),
        seeds=(0, 1, 2),
        series=(Series("some", x, y, low, high), Series("others", x, y[::-1], low[::-1], high[::-1])),
        x_title=f"{name} of images",
        y_title="M",
        source="A title, arXiv 2301.13188",
    )
    return {**result.as_record(), **_of_experiment(name, order), "status": "ok", **changed}


def broken_finding(name: str = "dose", status: str = "error", reason: str = "it broke", order: int = 0) -> Record:
    """The record of an experiment that came to no end."""
    return {**_of_experiment(name, order), "status": status, "reason": reason}


def _of_experiment(name: str, order: int) -> Record:
    stamp = {"schema": "solidmark.record/2", "t": "2026-01-02T03:04:05Z", "worker": "gw0", "benchmark_version": 1}
    identity = {"event": "finding", "case_id": f"finding-{name}", "slug": f"validity-{name}", "order": order}
    return {**stamp, **identity, "testbed": "", "mitigation": "", "family": ""}
