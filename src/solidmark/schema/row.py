"""What a row of a leaderboard holds: one testbed, mitigation and solver over its seeds.

Every number is that of all seeds together; `leaderboard.aggregate` says how it is taken. What a seed lacks the row lacks:
null, with a reason in `Row.reasons`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from .numbers import Estimate, Share

NUMBERS = (
    "queries",
    "power",
    "worst",
    "worst_service",
    "controls",
    "utility",
    "denoising_loss",
    "content",
    "sources",
    "space",
    "cost",
    "reported",
    "pipeline",
)
"""The fields of a row that are null where it has no numbers."""

NO_WORST = "its seeds were asked different queries, or their records are older than the worst case"
WEAK_BASELINE = "the unmitigated model"
"""How the fault of rows begins whose baseline does not remember."""

NO_CLASS = "the captions of this testbed name no class, so none is asked for"
NO_WAYS = "its records are older than the further ways to generate, so that its utility is that of plain generation"
NO_CONTENT = "its records are older than the content scores, or its query gives no pictures"
NO_OWN = "captions on this testbed say nothing or are shared by images, so that no picture is an image's own"
NO_BLOCK = "its records are older than this number, `outpaint` was not asked, or no block fits beside the mark"
NO_MAP = "its records are older than this number"
NOTHING_SAMPLED = "nothing acts at sampling, so that every picture comes from the weights"
NO_SOURCES = "its records are older than the control with exchanged class names"
NO_HALVES = "its records are older than this control, and rank each held-out image among all others: 0.05 by construction"
NO_WASHED = "too few images come back without their keys to be told, or its records are older than this note"
AGREE = "both yardsticks say the same of it"
NO_LOSS = (
    "its weights are the baseline's, its network predicts another quantity, the mark leaves no centre, or its records are "
    "older than this number"
)
NO_SPACE = "it works in pixels, or its records are older than latent testbeds"
NO_REFUSAL = "the service refused nothing, or its refusals were not recorded for every seed"
NO_CLAIM = "no part of it claims to be differentially private"
NO_CLASSIFIER = "the judge of this testbed was given, and knows no classes"
NO_UTILITY = "this testbed has no judge of pictures, and was given no models that could take its place"
NO_CLIP = "no CLIP was given that could say how well pictures fit their captions, or not in every seed"
NO_PIPELINE = "the suite's own sampler answered"
NO_STOCK = "the suite's own sampler answered, or the stock pipeline itself"
NO_POWER = "the perfect memorizer is a closed formula, which this query cannot be put to"


@dataclass(frozen=True)
class Marks:
    """How the marks of held-out answers look, averaged over seeds: spread of keys, unevenness, decoy error."""

    spread: float
    unevenness: float
    decoy_error: float | None


@dataclass(frozen=True)
class Work:
    """Denoiser evaluations, seconds and, where images were made, their number; a mean over seeds.

    `encoded` and `decoded` are images that went through an autoencoder.
    """

    forward: float
    backward: float
    seconds: float
    images: float | None = None
    encoded: float = 0.0
    decoded: float = 0.0

    @property
    def evaluations(self) -> float:
        """forward + backward."""
        return self.forward + self.backward

    @property
    def per_image(self) -> float | None:
        """Evaluations an image; None where no images were made."""
        return self.evaluations / self.images if self.images else None


@dataclass(frozen=True)
class Negative:
    """A control that knows no key; of the two p-values the smallest of any seed."""

    memorization: Estimate
    certified: Share
    chance_p: float
    uniform_p: float


@dataclass(frozen=True)
class Scored:
    """All scores of one query.

    `epsilon` is a lower bound (no upper limit): the smallest of any seed, each of which holds with probability
    `epsilon_confidence` at `epsilon_delta`. `avoided` are images certified by answers that are too far from their keys.
    `false_discovery_rate` is that of `certified` and of `avoided`, each, the largest of any seed.
    `held_out` are the query's own negatives, `retained` the scores of images that were not to be forgotten. `avoided` and
    what has a default may not have been recorded.
    """

    memorization: Estimate
    certified: Share
    avoided: Share | None
    leaked_bits: Estimate
    epsilon: Estimate
    epsilon_delta: float
    epsilon_confidence: float
    epsilon_adjacency: str
    within: Mapping[str, Share]
    auroc: Estimate
    tpr_at_1_fpr: Share
    permutation_p: float
    keys: int
    false_discovery_rate: float = 0.05
    access: str | None = None
    held_out: Negative | None = None
    marks: Marks | None = None
    evaluations: Work | None = None
    retained: Scored | None = None


@dataclass(frozen=True)
class Worst:
    """The worst case over `queries` queries; `chosen` is the share of halvings that chose each. `epsilon` as in `Scored`."""

    memorization: Estimate
    certified: Share
    epsilon: Estimate
    epsilon_delta: float
    epsilon_confidence: float
    epsilon_adjacency: str
    chosen: Mapping[str, float]
    queries: int


@dataclass(frozen=True)
class Controls:
    """The controls; `sound` only where those of every seed are."""

    held_out: Negative
    other_keys: Negative
    power: Estimate
    mark_valid: bool
    marks: Marks
    baseline_marks: Marks
    active: bool
    faults: tuple[str, ...]
    sound: bool


@dataclass(frozen=True)
class Way:
    """What one way to generate is worth; `accuracy` is null where no class is asked for, `clip` where no CLIP was given."""

    accuracy: Share | None
    frechet: Estimate
    kernel: Estimate
    diversity: Share
    clip: Estimate | None = None


@dataclass(frozen=True)
class Utility:
    """Utility of generation: in each seed the least of all `ways`; `accuracy` is null where no class is asked for.

    `ways` are plain generation, and generation as queries are asked, by name; empty in records that have plain generation
    alone, whose numbers are those of it. `frechet` and `kernel` are distances between generated and real images.
    `frechet_real`, `kernel_real` and `diversity_real` are the same numbers between two halves of real images. `clip` is 100
    times the mean cosine of pictures and captions, `clip_real` that of held-out images; null where no CLIP was given.
    """

    accuracy: Share | None
    frechet: Estimate
    frechet_real: float
    kernel: Estimate
    kernel_real: float
    diversity: Share
    diversity_real: float
    judge_accuracy: float | None
    ways: Mapping[str, Way] = field(default_factory=dict)
    clip: Estimate | None = None
    clip_real: float | None = None


@dataclass(frozen=True)
class DenoisingLoss:
    """Mean denoising loss of held-out images, with its interval over images and seeds, and of trained ones."""

    held_out: Estimate
    trained: float


@dataclass(frozen=True)
class ContentScore:
    """How content separates trained from held-out images over seeds. Fewer than `least` images cannot be certified.

    `permutation_p` is that of the rank sum, one-sided: the largest p-value of any seed.
    """

    auroc: Estimate
    certified: Share
    permutation_p: float
    least: int


@dataclass(frozen=True)
class MemoryMap:
    """The share of square tiles of `tile` pixels a side with p <= 0.05, of trained images.

    `held_out` is that of half of the held-out images, ranked among the other half; null in records older than this control.
    """

    tile: int
    trained: Estimate
    held_out: Estimate | None


@dataclass(frozen=True)
class ContentDistance:
    """What another distance finds in the same pictures; without numbers there is a `reason`."""

    own: ContentScore | None
    any: ContentScore | None
    reason: str = ""


@dataclass(frozen=True)
class Washed:
    """`images` of `of` are certified by content while M of their keys is at most `high`, over the `seeds` that have such.

    `high` is the largest upper limit, below a quarter of the `baseline`'s M, a mean.
    """

    images: int
    of: int
    high: float
    baseline: float
    seeds: int


@dataclass(frozen=True)
class Content:
    """Whether images are emitted, from their own caption or from any; `own` is null where captions are not theirs alone.

    `block` is the block that outpainting frees beside the mark, `map` the memory map; null where they were not recorded or
    do not exist. `distances` are what other distances find, by name. `washed` are images that come back without their keys,
    too few to fail the row; null where there are hardly any or nobody looked.
    """

    own: ContentScore | None
    any: ContentScore
    block: ContentScore | None = None
    map: MemoryMap | None = None
    distances: Mapping[str, ContentDistance] = field(default_factory=dict)
    washed: Washed | None = None

    @property
    def reasons(self) -> dict[str, str]:
        """Why what is null is null, by the name of the field."""
        missing = {"own": NO_OWN, "block": NO_BLOCK, "map": NO_MAP, "washed": NO_WASHED}
        reasons = {name: why for name, why in missing.items() if getattr(self, name) is None}
        if self.map is not None and self.map.held_out is None:
            reasons["map.held_out"] = NO_HALVES
        for name, one in self.distances.items():
            reasons |= {f"distances.{name}": one.reason} if one.any is None else {}
            reasons |= {f"distances.{name}.own": NO_OWN} if one.any is not None and one.own is None else {}
        return reasons


@dataclass(frozen=True)
class Sources:
    """Whether pictures follow the words of captions, not the weights: the least `p` of any seed, or null with a `reason`."""

    p: float | None
    reason: str = ""


@dataclass(frozen=True)
class Space:
    """A latent space: pixels a cell is wide, and what its autoencoder alone does to a key, a mean over seeds.

    `ceiling` is M of keys that are encoded, decoded and read: no query can be above it. `training` is what the autoencoder
    cost, once for all rows and seeds; null where it was not recorded. It came with the testbed where `shipped`.
    """

    factor: int
    key_error: float
    bias: float
    ceiling: Estimate
    training: Work | None = None
    shipped: bool = False


@dataclass(frozen=True)
class Cost:
    """What a row costs, a mean over seeds; `relative` is training and editing over the baseline's training.

    `sampling_relative` is an image's evaluations over those of the baseline; `peak_bytes` is the largest of any seed.
    """

    training: Work
    editing: Work
    sampling: Work
    peak_bytes: int | None = None
    relative: float | None = None
    sampling_relative: float | None = None


@dataclass(frozen=True)
class Refused:
    """Queries that the service did not answer: of trained and of held-out images, by the leading query, and fresh ones."""

    trained: Share
    held_out: Share
    fresh: Share


@dataclass(frozen=True)
class Claimed:
    """The privacy that a training claims, for one image's keys replaced: the largest ε of any seed, at the largest δ."""

    epsilon: float
    delta: float


@dataclass(frozen=True)
class Reported:
    """What a row's methods report of themselves: `values` by stage, part and name.

    Numbers are averaged over seeds; a text is null where seeds differ. `refused` is null where no query goes through a
    service or it refuses nothing, `claimed` where nobody claims.
    """

    values: Mapping[str, float | str | None]
    refused: Refused | None
    claimed: Claimed | None


@dataclass(frozen=True)
class Pipeline:
    """The diffusers pipeline that answered: class, call, scheduler, and what is to be known of its answers.

    `stock` is M of the stock pipeline with the same weights, scheduler, steps, images and noise, and `difference` M of the
    row minus that, paired over the images; null for the stock pipeline itself.
    """

    name: str
    call: str | None
    scheduler: str
    stock: Estimate | None
    difference: Estimate | None
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """`Class, call wen, DDIMScheduler`."""
        return ", ".join(part for part in (self.name, self.call and f"call {self.call}", self.scheduler) if part)


@dataclass(frozen=True)
class Attempt:
    """One seed of a row: what became of it. `memorization` is that of the leading query, also where a control failed.

    `worst`, `worst_service` (over the queries that go through the service alone), `content_own` and `content_any` (AUROC
    of content), `accuracy` and `frechet` are what curves are made of; null where the record has no such number.
    """

    seed: int | None
    status: str
    reason: str
    case_id: str
    environment: str
    memorization: Estimate | None
    worst: Estimate | None = None
    worst_service: Estimate | None = None
    content_own: Estimate | None = None
    content_any: Estimate | None = None
    accuracy: float | None = None
    frechet: float | None = None


@dataclass(frozen=True)
class Row:
    """A mitigation at one setting on one testbed, over its seeds. Numbers are null unless every seed is ok.

    `reference_curve` says that its family is the reference of its stage, `fidelity` how faithful it is to what was
    published; null in records older than that. `order` is the place of its setting in the plan. `disagreement` says in words
    how keys and content differ, where they do.
    """

    testbed: str
    mitigation: str
    family: str
    stage: str
    control: bool
    needs: tuple[str, ...]
    reference: str
    parameters: Mapping[str, object]
    solver: Mapping[str, object]
    status: str
    reason: str
    attempts: tuple[Attempt, ...]
    order: int = 0
    queries: Mapping[str, Scored] | None = None
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    power: Mapping[str, Estimate | None] | None = None
    worst: Worst | None = None
    worst_service: Worst | None = None
    controls: Controls | None = None
    utility: Utility | None = None
    denoising_loss: DenoisingLoss | None = None
    content: Content | None = None
    disagreement: str | None = None
    sources: Sources | None = None
    space: Space | None = None
    cost: Cost | None = None
    reported: Reported | None = None
    pipeline: Pipeline | None = None
    seeds_missing: tuple[int, ...] = ()
    reference_curve: bool = False
    fidelity: str | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that were measured, in order."""
        return tuple(sorted(attempt.seed for attempt in self.attempts if attempt.seed is not None))

    @property
    def ok(self) -> bool:
        """Whether the row has numbers."""
        return self.queries is not None

    @property
    def lead(self) -> Scored | None:
        """The scores of the leading query."""
        return next(iter(self.queries.values()), None) if self.queries else None

    @property
    def baseline(self) -> bool:
        """Whether nothing is mitigated."""
        return self.stage == "none"

    @property
    def setting(self) -> str:
        """The parameters of this setting, as the label has them: `share=0.5`; empty where there are none."""
        inner = self.mitigation.removeprefix(self.family)
        if inner.startswith("(") and inner.endswith(")"):
            return inner[1:-1]
        return "" if not inner else self.mitigation

    @property
    def environments(self) -> tuple[str, ...]:
        """Environment keys of its seeds; do not compare rows of different keys pair by pair."""
        return tuple(dict.fromkeys(attempt.environment for attempt in self.attempts if attempt.environment))

    @property
    def reasons(self) -> dict[str, str]:
        """Why what is null is null, by the name of the field; parts of a field after a dot."""
        reasons = {name: self.reason for name in NUMBERS if getattr(self, name) is None}
        reasons |= {name: NO_WORST for name in ("worst", "worst_service") if self.ok and getattr(self, name) is None}
        if self.ok and self.utility is None:
            reasons["utility"] = NO_UTILITY
        if self.ok and self.content is None:
            reasons["content"] = NO_CONTENT
        if self.disagreement is None:
            reasons["disagreement"] = AGREE if self.content is not None else reasons["content"]
        if self.content is not None:
            reasons |= {f"content.{name}": why for name, why in self.content.reasons.items()}
        if self.ok and self.sources is None:
            reasons["sources"] = NO_SOURCES
        if self.sources is not None and self.sources.p is None:
            reasons["sources.p"] = self.sources.reason
        if self.ok and self.space is None:
            reasons["space"] = NO_SPACE
        if self.ok and self.pipeline is None:
            reasons["pipeline"] = NO_PIPELINE
        if self.pipeline is not None and self.pipeline.difference is None:
            reasons |= dict.fromkeys(("pipeline.stock", "pipeline.difference"), NO_STOCK)
        if self.ok and self.denoising_loss is None:
            reasons["denoising_loss"] = NO_LOSS
        if self.utility is not None and self.utility.accuracy is None:
            reasons["utility.accuracy"] = NO_CLASS
        if self.utility is not None and self.utility.judge_accuracy is None:
            reasons["utility.judge_accuracy"] = NO_CLASSIFIER
        if self.utility is not None and self.utility.clip is None:
            reasons |= dict.fromkeys(("utility.clip", "utility.clip_real"), NO_CLIP)
        if self.utility is not None and not self.utility.ways:
            reasons["utility.ways"] = NO_WAYS
        if self.reported is not None:
            missing = {"reported.refused": NO_REFUSAL, "reported.claimed": NO_CLAIM}
            reasons |= {name: why for name, why in missing.items() if getattr(self.reported, name.partition(".")[2]) is None}
        return reasons | {f"power.{query}": NO_POWER for query, power in (self.power or {}).items() if power is None}

    def to_json(self) -> dict[str, object]:
        """The row as plain JSON; unknown is null with a reason."""
        values = asdict(self)
        values["per_seed"] = values.pop("attempts")
        return {**values, "seeds": list(self.seeds), "reasons": self.reasons}
