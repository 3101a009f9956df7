"""Content of a case: what the perfect memorizer emits, and who takes the marks from their images."""

from dataclasses import dataclass, replace

import pytest
from worlds import composed, digits

from solidmark import Mitigation, Sampler, Stage, plugins
from solidmark.measurement import answers, content
from solidmark.measurement.case import Case, Workspace
from solidmark.models.memorizer import Memorizer
from solidmark.queries.by_content import ByContent
from solidmark.queries.caption_only import CaptionOnly
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import SolverConfig
from solidmark.store import Store

TESTBED = digits(trained=16, held_out=192, generated=16)
QUERIES = (("outpaint", Outpaint()), ("caption-only", CaptionOnly()), ("by-content", ByContent()))


class Washing(Sampler):
    """Gives every picture of a batch the border of another one."""

    def after(self, x, x0, t, batch):
        if t != batch.times[-1]:
            return x
        washed = x.roll(1, 0).clone()
        washed[..., 2:-2, 2:-2] = x[..., 2:-2, 2:-2]
        return washed


@dataclass(frozen=True)
class Washer(Mitigation):
    def sampler(self, inner):
        return Washing(self, inner)


def case(*mitigations):
    return Case("digits", TESTBED, composed(*mitigations), 0, QUERIES, SolverConfig(steps=8))


@pytest.fixture(scope="module")
def memorizer():
    return Memorizer(TESTBED.split(0).marked_trained)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(Store(tmp_path_factory.mktemp("store")))


def test_what_is_remembered_is_emitted_from_its_own_caption_and_from_any(memorizer, workspace):
    found = content.measure_content(case(), memorizer, workspace, {})
    assert (found.own.auroc.value, found.any.auroc.value) == (pytest.approx(1.0), pytest.approx(1.0))
    assert found.certified.all()
    assert not found.shared


def test_a_query_that_was_put_anyway_is_read_and_costs_nothing(memorizer, workspace):
    asked = {"caption-only": answers.ask_query(case(), "caption-only", memorizer, workspace)}
    before = memorizer.evaluations.copy()
    block = content.as_block(content.measure_content(case(), memorizer, workspace, asked))
    assert block["shared"] is True
    assert memorizer.evaluations == before


def test_who_takes_the_marks_from_their_images_is_convicted_and_nobody_else(memorizer, workspace):
    truth, honest = TESTBED.split(0), answers.ask_query(case(), "outpaint", memorizer, workspace)
    faults = {}
    for name, washing in (("honest", case()), ("washer", case(Washer()))):
        lead = answers.ask_query(washing, "outpaint", memorizer, workspace)
        shown = content.measure_content(washing, memorizer, workspace, {})
        faults[name] = content.fault(washing, shown, truth, lead, honest)
    assert faults["honest"] == []
    assert "16 of 16 images are certified by their content" in faults["washer"][0]


def test_keys_are_read_by_content_where_captions_say_nothing_of_them(memorizer, workspace):
    """Captions of one image each are exchanged: every image is emitted, from another one's caption."""

    @dataclass(frozen=True)
    class Exchanged(Mitigation):
        stage = Stage.SAMPLING

        def caption(self, captions, rng):
            return captions[1:] + captions[:1]

    exchanged = case(Exchanged())
    keys = TESTBED.split(0).trained_keys.double().numpy()
    by_caption = answers.ask_query(exchanged, "caption-only", memorizer, workspace).trained
    by_content = answers.ask_query(exchanged, "by-content", memorizer, workspace).trained
    assert abs(by_caption - keys).mean() > 0.25
    assert abs(by_content - keys).mean() < 0.05


def test_without_captions_no_picture_is_an_image_s_own(workspace):
    testbed = plugins.instance(plugins.GROUPS["testbed"], "testbed", "digits-unconditional-quick")
    plain = Case(
        "plain", replace(testbed, trained=16, held_out=64, generated=16), composed(), 0, QUERIES, SolverConfig(steps=8)
    )
    found = content.measure_content(plain, Memorizer(plain.truth.marked_trained), workspace, {})
    assert found.own is None
    assert found.any.certified.of == 16
