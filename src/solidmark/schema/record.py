"""What a record holds: one JSON object a line, schema `solidmark.record/2`, told apart by `event`.

Every record is written and read through these types; `record.schema.json` beside this file says the same in JSON
Schema. A key that may be missing was not recorded by every version. Unknown is null with a reason, never 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt
from typing_extensions import NotRequired, TypedDict

if TYPE_CHECKING:
    from pydantic import JsonValue
else:
    JsonValue = Any  # what was read from JSON is JSON, and pydantic takes a tenth of a second to import

SCHEMA = "solidmark.record/2"

Positive = Annotated[int, Gt(0)]
"""A number of images or keys, of which there is one at least."""

Plain = float | int | str | bool | None
"""A number, a word, a truth value, or null where it is unknown."""

Status = Literal["ok", "failed_check", "error", "timeout", "oom", "crashed", "unsupported"]
"""`ok`; `failed_check`: a control failed, so do not believe its numbers; all others have no numbers."""


class IntervalBlock(TypedDict):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class MemorizationBlock(IntervalBlock):
    """M, over `images` images of one seed; chance 0."""

    error: float
    chance: float
    images: Positive


class LeakedBitsBlock(IntervalBlock):
    """Bits of the `keys` keys of an image that came back; chance 0."""

    chance: float
    keys: Positive


class AreaBlock(IntervalBlock):
    """An AUROC; chance 0.5."""

    chance: float


class ShareBlock(TypedDict):
    """`count` of `of`; `low` and `high` limit the share, `chance` is the share that chance gives."""

    count: int
    of: Positive
    low: float
    high: float
    chance: float


class EpsilonBlock(TypedDict):
    """A lower bound on ε at `delta`, which holds with probability `confidence`."""

    low: float
    confidence: float
    adjacency: str
    delta: float


class EpsilonLowBlock(TypedDict):
    """The lower bound alone, of a control."""

    low: float


class MarksBlock(TypedDict):
    """How the marks of held-out answers look: spread of keys, unevenness inside a segment, decoy error."""

    spread: float
    unevenness: float
    decoy_error: float | None


class WorkBlock(TypedDict):
    """Denoiser evaluations, counted a sample, and seconds; `images` where the work was done for some.

    `encoded` and `decoded` are images that went through an autoencoder.
    """

    forward: int
    backward: int
    seconds: float
    images: NotRequired[Positive]
    encoded: NotRequired[Annotated[int, Ge(0)]]
    decoded: NotRequired[Annotated[int, Ge(0)]]


class NegativeBlock(TypedDict):
    """Scores of predictions that cannot know the keys, and the p-values of "they do not"."""

    memorization: MemorizationBlock
    certified: ShareBlock
    epsilon: EpsilonLowBlock
    chance_p: float
    uniform_p: float


class ScoresBlock(TypedDict):
    """All scores of one query on one group of images.

    `false_discovery_rate` is that of `certified` and of `avoided`, each; 0.05 where it is missing.
    """

    memorization: MemorizationBlock
    certified: ShareBlock
    avoided: NotRequired[ShareBlock]
    false_discovery_rate: NotRequired[float]
    leaked_bits: LeakedBitsBlock
    epsilon: EpsilonBlock
    within: dict[str, ShareBlock]
    auroc: AreaBlock
    tpr_at_1_fpr: ShareBlock
    permutation_p: float


class QueryBlock(ScoresBlock):
    """The scores of one query on the images that the row answers for, with its own negatives and cost.

    `retained` are the scores of images that were not to be forgotten.
    """

    access: NotRequired[Literal["black-box", "white-box"]]
    held_out: NotRequired[NegativeBlock]
    marks: NotRequired[MarksBlock]
    evaluations: NotRequired[WorkBlock]
    retained: NotRequired[ScoresBlock]


class WorstBlock(TypedDict):
    """The worst case over `queries` queries; `chosen` is the share of halvings that chose each."""

    memorization: MemorizationBlock
    certified: ShareBlock
    epsilon: EpsilonBlock
    chosen: dict[str, float]
    queries: int


class MarkValidBlock(MarksBlock):
    """The marks of the leading query beside the baseline's, and whether they are marks."""

    valid: bool
    baseline: MarksBlock


class ControlsBlock(TypedDict):
    """The controls of a case; `sound` where none has a fault."""

    held_out: NegativeBlock
    other_keys: NegativeBlock
    power: IntervalBlock
    mark_valid: MarkValidBlock
    active: bool
    faults: list[str]
    sound: bool


class DistanceBlock(TypedDict):
    """A distance between generated and real images, beside the same between two halves of real ones."""

    value: float
    real: float


class UtilityNumbers(TypedDict):
    """What one way to generate is worth; `accuracy` is null where no class is asked for.

    `clip` is 100 times the mean cosine of pictures and captions, where a CLIP was given; of real images as `real`.
    """

    accuracy: ShareBlock | None
    frechet: DistanceBlock
    kernel: DistanceBlock
    diversity: ShareBlock
    clip: NotRequired[DistanceBlock]


class WayBlock(UtilityNumbers):
    """One way to generate; `evaluations` is nothing where the pictures are those of a query."""

    evaluations: WorkBlock


class UtilityBlock(UtilityNumbers):
    """What generation is worth: the least of the `ways` in which it was asked, each number by itself.

    Records without `ways` have plain generation alone.
    """

    diversity_real: float
    judge_accuracy: float | None
    ways: NotRequired[dict[str, WayBlock]]


class LossBlock(IntervalBlock):
    """A mean denoising loss over `images` images."""

    error: float
    images: Positive


class DenoisingLossBlock(TypedDict):
    """White-box denoising loss of held-out and of trained images."""

    held_out: LossBlock
    trained: LossBlock


class ContentScoreBlock(TypedDict):
    """How content separates trained from held-out images; fewer than `least` of `images` cannot be certified.

    `permutation_p` is that of the rank sum, one-sided; older records have it as `rank_p`, where ties were approximated.
    """

    auroc: AreaBlock
    images: int
    permutation_p: NotRequired[float]
    rank_p: NotRequired[float]
    certified: ShareBlock
    least: int


class MapBlock(TypedDict):
    """The memory map: the share of square tiles of `tile` pixels a side with p <= 0.05, of trained and of held-out images.

    It is read from the `picture` of an image's own caption, or from the nearest of any. `held_out` are `held_out_images` of
    them among the other `half`; without `held_out_among` each was ranked among all others, 0.05 by construction.
    """

    tile: Positive
    picture: Literal["own", "any"]
    trained: IntervalBlock
    held_out: IntervalBlock
    images: Positive
    held_out_images: Positive
    held_out_among: NotRequired[Literal["half"]]


class ContentDistanceBlock(TypedDict):
    """The same pictures, read by another distance; without numbers there is a `reason`."""

    own: ContentScoreBlock | None
    any: ContentScoreBlock | None
    reason: NotRequired[str]


class WashedBlock(TypedDict):
    """`images` of `of` are certified by content, and M of their keys lies below a quarter of the `baseline`'s."""

    images: Positive
    of: Positive
    memorization: IntervalBlock
    baseline: float


class ContentBlock(TypedDict):
    """Whether images are emitted: from their `own` caption (null where it is not theirs alone), or from `any`.

    `block` is the block that outpainting frees beside the mark; null where none was. `distances` are what other distances
    find, by name. `washed` are images that come back without their keys; null where they are too few to be told.
    `evaluations` is what the pictures cost, nothing where they are `shared` with a query.
    """

    own: ContentScoreBlock | None
    any: ContentScoreBlock
    block: NotRequired[ContentScoreBlock | None]
    map: NotRequired[MapBlock]
    distances: NotRequired[dict[str, ContentDistanceBlock]]
    washed: NotRequired[WashedBlock | None]
    evaluations: WorkBlock
    shared: bool


class CostBlock(TypedDict):
    """What a case cost."""

    training: WorkBlock
    editing: WorkBlock
    sampling: WorkBlock


class RefusedShareBlock(TypedDict):
    """A share of refused queries, without an interval."""

    value: float
    count: int
    of: Positive


class RefusedQueryBlock(TypedDict):
    """Refusals of one query."""

    trained: RefusedShareBlock
    held_out: RefusedShareBlock


class RefusedBlock(TypedDict):
    """Refusals of a service: of fresh captions, and of each query's images."""

    generated: RefusedShareBlock
    queries: dict[str, RefusedQueryBlock]


Reports = dict[str, dict[str, Plain]]
"""By family, what a part of a mitigation reports of itself, by name."""


class SamplingReportBlock(TypedDict, total=False):
    """What the sampling stage reports; empty where nothing acts there.

    `doses` is by query: what parts really did, as means over all images that were asked about.
    """

    refused: RefusedBlock
    doses: dict[str, Reports]


class ReportedBlock(TypedDict):
    """What the parts of a mitigation report of themselves, by stage."""

    training: Reports
    editing: Reports
    sampling: SamplingReportBlock


class SolverBlock(TypedDict):
    """The solver of the queries; older records have fewer fields."""

    name: str
    steps: int
    eta: float
    guidance: float
    batch: NotRequired[int]
    rounds: NotRequired[int]
    strength: NotRequired[float]
    reencode: NotRequired[int]
    renew_all: NotRequired[bool]


class SpaceBlock(TypedDict):
    """A latent space: pixels a cell is wide, and what its autoencoder alone does to a key; `ceiling` is M after it.

    `training` is what the autoencoder cost, once for all rows and seeds; it came with the testbed where `shipped`.
    """

    factor: Positive
    key_error: float
    bias: float
    ceiling: IntervalBlock
    training: NotRequired[WorkBlock]
    shipped: NotRequired[bool]


class ProvenanceBlock(TypedDict, total=False):
    """Where a case was measured, with which sources."""

    device: str
    environment_key: str
    testbed: dict[str, JsonValue]
    sources: dict[str, str]
    queries: dict[str, JsonValue]
    distances: dict[str, JsonValue]
    notes: list[str]
    peak_bytes: int | None


class PerImageBlock(TypedDict):
    """The file with a row an image and query."""

    path: str
    rows: int


class Identity(TypedDict):
    """What every record says of its case, whatever became of it. `order` is its place in the plan."""

    event: str
    case_id: str
    slug: str
    order: NotRequired[int]
    testbed: NotRequired[str]
    mitigation: NotRequired[str]
    family: NotRequired[str]


class Stamp(TypedDict):
    """What the writer adds."""

    schema: NotRequired[str]
    t: NotRequired[str]
    worker: NotRequired[str]
    pid: NotRequired[int]


class Heading(TypedDict):
    """What a case is: the mitigation with its parameters, the seed, the solver."""

    benchmark_version: NotRequired[int]
    testbed: NotRequired[str]
    mitigation: NotRequired[str]
    family: NotRequired[str]
    stage: NotRequired[str]
    needs: NotRequired[list[str]]
    control: NotRequired[bool]
    reference_curve: NotRequired[bool]
    fidelity: NotRequired[str]
    reference: NotRequired[str]
    parameters: NotRequired[dict[str, JsonValue]]
    seed: NotRequired[int]
    solver: NotRequired[SolverBlock]


class SourcesBlock(TypedDict):
    """Of `of` pictures from a model that knows each class under another's name, `count` show what the caption names.

    `p` is small where a sampling stage brings pictures of its own; null, with a `reason`, where it was not asked.
    """

    p: float | None
    count: NotRequired[int]
    of: NotRequired[Positive]
    evaluations: NotRequired[WorkBlock]
    reason: NotRequired[str]


class UtilityOrReason(TypedDict):
    """What generation is worth, or why that is not known."""

    utility: NotRequired[UtilityBlock | None]
    utility_reason: NotRequired[str]


class StockBlock(TypedDict):
    """The stock pipeline with the same weights, scheduler, steps, images and noise, asked the leading query.

    `difference` is M of the row minus M of it, paired over the images.
    """

    memorization: MemorizationBlock
    difference: MemorizationBlock


class PipelineBlock(TypedDict):
    """The diffusers pipeline that answered in the place of the suite's own sampler.

    `identity` has its class, call, scheduler with settings, and weights, each with its sha256; `warnings` what is to be
    known of its answers. `stock` is null for the stock pipeline itself.
    """

    identity: dict[str, JsonValue]
    batch: Positive
    warnings: list[str]
    stock: StockBlock | None


class CaseNumbers(Heading, UtilityOrReason):
    """What measuring a case gives; where it has failed, null with a `reason`."""

    status: Status
    reason: NotRequired[str]
    queries: NotRequired[dict[str, QueryBlock] | None]
    not_applicable: NotRequired[dict[str, str]]
    worst: NotRequired[WorstBlock | None]
    worst_service: NotRequired[WorstBlock | None]
    controls: NotRequired[ControlsBlock | None]
    power: NotRequired[dict[str, IntervalBlock | None]]
    denoising_loss: NotRequired[DenoisingLossBlock | None]
    content: NotRequired[ContentBlock | None]
    space: NotRequired[SpaceBlock | None]
    pipeline: NotRequired[PipelineBlock | None]
    sources: NotRequired[SourcesBlock]
    cost: NotRequired[CostBlock | None]
    reported: NotRequired[ReportedBlock]
    provenance: NotRequired[ProvenanceBlock]
    per_image: NotRequired[PerImageBlock]


class CaseRecord(CaseNumbers, Identity, Stamp):
    """Testbed x mitigation x seed: what each query found, the worst over them, controls, utility and cost."""

    testbed: str  # type: ignore[misc]  # a crash may lack it, a case may not
    mitigation: str  # type: ignore[misc]
    family: str  # type: ignore[misc]

    event: Literal["case"]  # type: ignore[misc]  # narrower than that of any record
    attempt: NotRequired[int]


class UnmarkedBlock(UtilityOrReason):
    """The same training without keys."""


class DetectorBlock(TypedDict):
    """What one detector of memorized prompts makes of the unmitigated model; chance is an `auroc` of 0.5.

    `captions` trained and as many held-out ones were asked about, `evaluations` is the cost of a prompt. `auroc` is null
    where it found nothing, with a `reason`.
    """

    auroc: IntervalBlock | None
    evaluations: NotRequired[float]
    captions: NotRequired[int]
    reason: NotRequired[str]


class TestbedNumbers(Heading):
    """What belongs to a testbed and seed alone."""

    status: Status
    reason: NotRequired[str]
    power: NotRequired[dict[str, IntervalBlock | None]]
    unmarked: NotRequired[UnmarkedBlock]
    detectors: NotRequired[dict[str, DetectorBlock]]
    expected: NotRequired[str]
    provenance: NotRequired[ProvenanceBlock]
    queries: NotRequired[None]
    controls: NotRequired[None]
    utility: NotRequired[None]
    cost: NotRequired[None]


class TestbedRecord(TestbedNumbers, Identity, Stamp):
    """Power of each query, and utility of the same training without keys."""

    testbed: str  # type: ignore[misc]  # a crash may lack it, a testbed may not

    event: Literal["testbed"]  # type: ignore[misc]  # narrower than that of any record
    attempt: NotRequired[int]


class EstimateBlock(TypedDict):
    """A number with its interval, and its standard error where it has one."""

    value: float
    low: float
    high: float
    error: NotRequired[float | None]


class SeriesBlock(TypedDict):
    """One line or row of points of a figure."""

    label: str
    x: list[float | str]
    y: list[float]
    low: list[float]
    high: list[float]


class StepBlock(TypedDict):
    """One step of a test: what it asks, whether that was seen (null where nobody measured it), and what was found."""

    name: str
    asks: str
    seen: bool | None
    found: str


class FindingRecord(Identity, Stamp):
    """An experiment's rule, its statistic with interval, its verdict, and the points of its figure."""

    event: Literal["finding"]  # type: ignore[misc]  # narrower than that of any record
    status: Status
    benchmark_version: NotRequired[int]
    reason: NotRequired[str]
    suite: NotRequired[str]
    name: NotRequired[str]
    title: NotRequired[str]
    rule: NotRequired[str]
    verdict: NotRequired[Literal["holds", "fails", "undecided", "not seen here", "not testable here"]]
    statistic: NotRequired[str]
    estimate: NotRequired[EstimateBlock]
    seeds: NotRequired[list[int]]
    series: NotRequired[list[SeriesBlock]]
    x_title: NotRequired[str]
    y_title: NotRequired[str]
    chance: NotRequired[float | None]
    source: NotRequired[str]
    details: NotRequired[dict[str, JsonValue]]
    where: NotRequired[str]
    steps: NotRequired[list[StepBlock]]
    attempt: NotRequired[int]
    provenance: NotRequired[ProvenanceBlock]


class CrashRecord(Identity, Stamp):
    """A worker that died, the case it was at, and the attempt."""

    event: Literal["crash"]  # type: ignore[misc]  # narrower than that of any record
    status: Literal["crashed", "timeout"]
    attempt: int
    reason: str


Record = CaseRecord | TestbedRecord | FindingRecord | CrashRecord
