"""What each mitigation does to small models, against `effects.txt`: a method changes on purpose alone.

`python tests/test_effects.py [FAMILY ...]` writes that file anew; read what changed in it before you commit it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import pytest
from effects import SHORT, effect, words
from kept import alike, blocks, write
from solidmark.mitigations import _calibration as calibration

from solidmark import plugins
from solidmark.mitigation import Mitigation, Needs, Stage, overridden_hooks
from solidmark.plugins import GROUPS

KEPT = Path(__file__).with_name("effects.txt")
FAMILIES = [plugin.name for plugin in plugins.discover(GROUPS["mitigation"])]
FEW = {"COUNT": 12, "LEVEL_COUNT": 8, "LEVEL_FEW": 4}
"""Normal queries of a calibration."""

MORE = {
    "agc": ["threshold=1.0,bins=4,decay=0.5"],
    "amg": [
        "first=-2.0,last=-1.96,neighbours=5",
        "first=-2.5,last=-2.2,neighbours=5,dissimilarity=3e5",
        "first=-2.5,last=-2.2,through_network=True",
    ],
    "amg-features": ["first=0.1,despecified=2.0,deduplicated=1.0,dissimilarity=1e3"],
    "anisotropy-embedding": ["size=0.0", "alignment=0.0,above=-0.1"],
    "attention-rescaling": ["kept=0", "kept=3"],
    "augment": ["mirror=0.0,probability=0.5", "shift=0.0,turn=0.0,probability=0.7,mirror=1.0"],
    "bright-ending": ["target=1.3"],
    "cads": ["mixing=0.5,scale=1.0", "low=0.9,high=0.5"],
    "concept-ablation": ["kept=2,anchors=2,prior=0.0"],
    "dedup": ["copies=2,alike=0.1"],
    "dp-sgd": ["noise=0.1,clip=0.05,draws=2,batch=4,steps=2,rate=0.5"],
    "dynamic-transition": ["before=-1.0,latest=0.5"],
    "erasediff": ["weight=2.0", "target='class'"],
    "esd": ["weights='u',away=3.0"],
    "guard": ["threshold=1.0"],
    "guard-attention": ["threshold=1.0"],
    "iet": ["rounds=1,shards=3,threshold=1.0", "rounds=2,shards=2,threshold=1.0,bins=3"],
    "iet-plus": ["rounds=3,shards=1,threshold=1.0", "rounds=2,shards=2,threshold=1.0,moved=0.5"],
    "initial-noise-batch": ["gamma=3.0,rounds=3,reach=0.1"],
    "initial-noise-sample": ["target=0.95,learning_rate=0.1"],
    "flipd-embedding": ["rise=0.05"],
    "lora": ["rate=3.0,rank=2"],
    "neggrad-plus": ["keep=0.5"],
    "nemo": ["deviations=-0.5,seeds=3"],
    "nemo-permanent": ["deviations=-0.5,seeds=3"],
    "prss": ["search=0.95,gate=0.9,ramp=0.3,candidates=3"],
    "refusal": ["share=0.2"],
    "retrack": ["neighbours=2,keep=0.0"],
    "sail": ["target=0.7,prior=0.0", "prior=3.0,target=0.0"],
    "sail-code": ["target=0.7,prior=0.0"],
    "salun": ["density=0.1,keep=0.0"],
    "selective-amnesia": ["replay=0.0,samples=2", "weight=0.0,samples=2"],
    "siss": ["mixture=0.2,superfactor=2.0", "mixture=0.8,start=500", "start=1000"],
    "spell": ["radius=3.0,strength=0.5"],
    "tweedie-consistency": ["weight=0.0", "level=20.0,weight=3.0"],
    "vdu": ["stability=0.0", "stability=1.0,floor=1.0"],
    "wanda": ["share=0.3"],
    "wen-embedding": ["target=0.95"],
    "wen-filter": ["threshold=0.05"],
}
"""What the settings leave out: each branch of a method, thresholds that some images reach, and terms without weight."""

MAIN = {"ambient-mask-sampling": "masked", "selective-dampening": "label"}
"""Families whose settings act on another model than `text`. The keys of a text encoder have a bias whose gradient is
rounding alone, by which selective dampening would choose."""

SLOW = {"selective-amnesia": {"samples": 1}}
"""Loops that are cut shorter still in both ends of a sweep: one such sample is an evaluation of every timestep."""

REFUSED = {
    "adversarial-finetune": ("none",),
    "concept-ablation": ("label",),
    "erasediff": ("none",),
    "esd": ("label",),
    "multiple-captions": ("label",),
    "nemo-permanent": ("label",),
    "wanda": ("label",),
}
"""Models on which a training or an edit says that it does not act."""


def shortened(mitigation: Mitigation, longest: Mapping[str, int] = SHORT) -> Mitigation:
    """The same with short loops."""
    values = {field.name: getattr(mitigation, field.name) for field in fields(mitigation)}
    short = {n: min(values[n], most) for n, most in longest.items() if isinstance(values.get(n), int)}
    return replace(mitigation, **short)


def kinds(family: str, usual: Mitigation) -> tuple[str, ...]:
    """The models beside the main one on which the default acts in another way, or might."""
    if usual.stage is Stage.SAMPLING:
        return ("latent", "label", "blank") if Needs.CAPTIONS in usual.needs else ("latent", "blank")
    return ("latent",) if overridden_hooks(type(usual)) == ["view"] else REFUSED.get(family, ())


def cases(family: str) -> dict[str, tuple[Mitigation, str]]:
    """The default, the end of the sweep and `MORE` on the text model, the default on others, by what differs from it."""
    ends, longest = (plugins.published(family), plugins.family(family)[-1]), SHORT | SLOW.get(family, {})
    usual, strongest = (shortened(one.mitigation, longest) for one in ends)
    more = [shortened(plugins.compose(f"{family}({text})").parts[0].mitigation) for text in MORE.get(family, ())]
    main = MAIN.get(family, "text")
    found = {f"{family} {main} {told(one, usual)}".strip(): (one, main) for one in (usual, strongest, *more)}
    return {**found, **{f"{family} {kind}": (usual, kind) for kind in kinds(family, usual)}}


def told(one: Mitigation, usual: Mitigation) -> str:
    """The fields that differ."""
    return words({n: value for n, value in one.parameters().items() if value != usual.parameters()[n]})


def found(family: str) -> dict[str, list[str]]:
    """What each case does."""
    with pytest.MonkeyPatch.context() as patch:
        for name, count in FEW.items():
            patch.setattr(calibration, name, count)
        return {name: effect(*case) for name, case in cases(family).items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_method_does_is_what_it_did(family: str) -> None:
    now, before = found(family), blocks(KEPT, family)
    assert list(now) == list(before)
    assert [(case, old, new) for case in now for old, new in alike(before[case], now[case])] == []


if __name__ == "__main__":
    chosen = sys.argv[1:] or FAMILIES
    every = [found(family) if family in chosen else blocks(KEPT, family) for family in FAMILIES]
    write(KEPT, {case: lines for each in every for case, lines in each.items()})
