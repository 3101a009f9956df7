"""Certificates: what they say, who can check them, and that no changed byte or number gets through."""

import hashlib
import json
import re
import shutil
from contextlib import suppress
from dataclasses import replace

import pytest
from collections_toys import Memory, collection, guess, marked, picture, pixels

from solidmark.__main__ import main
from solidmark.collection import certificate, ledger, measuring, pictures, verifying
from solidmark.collection.questions import Query
from solidmark.errors import DamagedFile, InvalidValue
from solidmark.store import digest

TOY = {"name": "toy", "sha256": None}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A collection of 60 images, a measurement of a model that remembers 30 of them, and its certificate."""
    folder = tmp_path_factory.mktemp("world")
    found = collection(folder, 60)
    measuring.measure(Memory(found.marked), TOY, found, Query(content=True), folder / "measured")
    certificate.certify(folder / "measured", found.ledger, folder / "certificate")
    return folder, found


@pytest.fixture
def copy(world, tmp_path):
    """A certificate of its own, to be changed."""
    return shutil.copytree(world[0] / "certificate", tmp_path / "certificate")


def faults(folder, found, **given):
    return [check.subject for check in verifying.verify(folder, found.ledger, **given) if not check.sound]


def forged(folder, change):
    """The certificate with a change and a digest that fits it."""
    made = json.loads((folder / "certificate.json").read_text())
    change(made)
    made["digest"] = digest({name: value for name, value in made.items() if name != "digest"})
    (folder / "certificate.json").write_text(json.dumps(made))


def test_a_third_party_finds_it_right(world):
    folder, found = world
    assert faults(folder / "certificate", found) == []
    assert faults(folder / "certificate", found, marked=found.marked, commitment=found.folder / "commitment.json") == []


def test_it_says_how_many_of_how_many_and_shows_the_most_certain(world):
    folder, _ = world
    made = certificate.read(folder / "certificate")
    assert made["statement"].startswith("The model toy has memorized 30 of 30 images that were handed out")
    p = [one["p_value"] for one in made["certified"]]
    assert p == sorted(p)
    assert [one["pictures"] is not None for one in made["certified"]] == [True] * 24 + [False] * 6


def test_the_page_is_one_file_with_everything_in_it(world):
    page = (world[0] / "certificate" / "certificate.html").read_text()
    made = certificate.read(world[0] / "certificate")
    for text in (made["statement"], made["commitment"], made["digest"], "held-out images", "picture 1"):
        assert text in page
    assert page.count("data:image/png;base64,") == 48
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_what_a_caption_says_is_text_on_the_page(tmp_path, world):
    found = world[1]
    rows = tuple(replace(row, caption="<script>alert(1)</script>") for row in found.ledger.rows)
    measured = tmp_path / "measured"
    hostile = replace(found, ledger=replace(found.ledger, rows=rows))
    measuring.measure(Memory(found.marked), TOY, hostile, Query(), measured)
    certificate.certify(measured, hostile.ledger, tmp_path / "out")
    assert "<script" not in (tmp_path / "out" / "certificate.html").read_text()


@pytest.mark.parametrize("name", ["certificate.json", "certificate.html", "pictures"])
def test_one_changed_byte_anywhere_is_found(world, copy, name):
    path = copy / name if name != "pictures" else sorted((copy / name).iterdir())[3]
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 6)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with suppress(DamagedFile, InvalidValue):  # of what is no JSON any more
            assert faults(copy, world[1])


def a_number(made):
    made["record"]["trained"]["memorization"]["value"] = 0.5


def a_p_value(made):
    made["answers"][0]["p_value"] /= 2


def content_scores(made):
    for answer in made["answers"]:
        answer["content"] = 1.0


def an_answer(made):
    made["answers"][0]["prediction"][0] = 0.5


def a_dropped_answer(made):
    del made["answers"][0]


def an_answer_twice(made):
    made["answers"].append(made["answers"][0])


def a_longer_list(made):
    made["certified"].append(made["certified"][0])


def another_caption(made):
    made["certified"][0]["caption"] = "something else"


def other_keys(made):
    made["certified"][0]["keys"][0] = 0.5


def another_statement(made):
    made["statement"] = "The model has memorized everything."


def another_commitment(made):
    made["commitment"] = "0" * 64


def another_date(made):
    made["committed"] = "2020-01-01T00:00:00Z"


def another_limit(made):
    made["record"]["query"]["limit"] = 3


def another_count(made):
    made["record"]["asked"]["trained"] = 1000


def no_faults_but_unsound(made):
    made["record"]["sound"] = False


def nothing(made):
    made["record"] = {}


def no_list(made):
    made["answers"] = 3


CHANGES = [
    a_number,
    a_p_value,
    content_scores,
    an_answer,
    a_dropped_answer,
    an_answer_twice,
    a_longer_list,
    another_caption,
    other_keys,
]
CHANGES += [
    another_statement,
    another_commitment,
    another_date,
    another_limit,
    another_count,
    no_faults_but_unsound,
    nothing,
    no_list,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_forged_certificate_is_found_by_ledger_and_answers(world, copy, change):
    """The forger makes digest and page anew, so that only what was committed to speaks against him."""
    forged(copy, change)
    with suppress(KeyError):  # of a certificate that has lost its record
        (copy / "certificate.html").write_text(certificate.page(certificate.read(copy), copy))
    assert faults(copy, world[1])


def swapped(copy, which):
    """The certificate with another picture in the place of one, its digest and its page made to match."""
    content, first = pictures.encode(picture(3, 18, 18)), certificate.read(copy)["certified"][0]["pictures"][which]["file"]
    (copy / "pictures" / first).write_bytes(content)

    def swap(made):
        made["certified"][0]["pictures"][which]["sha256"] = hashlib.sha256(content).hexdigest()

    forged(copy, swap)
    (copy / "certificate.html").write_text(certificate.page(certificate.read(copy), copy))


def test_a_picture_that_was_swapped_with_a_digest_to_match_is_found(world, copy):
    swapped(copy, "answered")
    assert faults(copy, world[1]) == ["shown"]


def test_a_picture_that_was_not_asked_is_found_with_the_marked_images(world, copy):
    swapped(copy, "asked")
    assert faults(copy, world[1], marked=world[1].marked) == ["shown"]


def test_no_picture_is_read_from_elsewhere(world, copy):
    def outside(made):
        made["certified"][0]["pictures"]["asked"]["file"] = "../../secret"

    forged(copy, outside)
    assert "pictures" in faults(copy, world[1])


def test_keys_that_were_chosen_after_the_answers_are_found(world, tmp_path):
    """The owner writes a ledger that fits a model's guesses. Secret and published commitment speak against him."""
    found = world[1]
    measuring.measure(guess, TOY, found, Query(), tmp_path / "before")
    answers = {answer["number"]: tuple(answer["prediction"]) for answer in certificate.read_answers(tmp_path / "before")}
    rows = [replace(row, keys=answers[row.number]) if row.split == "trained" else row for row in found.ledger.rows]
    later = replace(found, ledger=replace(found.ledger, rows=tuple(rows)))
    measuring.measure(guess, TOY, later, Query(), tmp_path / "after")
    certificate.certify(tmp_path / "after", later.ledger, tmp_path / "out")
    assert faults(tmp_path / "out", later, commitment=found.folder / "commitment.json") == ["keys", "published commitment"]


def test_a_measurement_whose_control_fails_is_not_certified(world, tmp_path):
    found = world[1]
    measuring.measure(Memory(found.folder / "held_out"), TOY, found, Query(), tmp_path / "measured")
    with pytest.raises(InvalidValue, match="a control that failed"):
        certificate.certify(tmp_path / "measured", found.ledger, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_no_image_is_certified_there_is_no_certificate(world, tmp_path):
    measuring.measure(guess, TOY, world[1], Query(), tmp_path / "measured")
    with pytest.raises(InvalidValue, match="nothing to certify"):
        certificate.certify(tmp_path / "measured", world[1].ledger, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "message"),
    [("per_image.parquet", "another file"), ("record.json", "numbers: others in"), ("answers", "the picture")],
)
def test_a_measurement_that_was_changed_is_not_certified(world, tmp_path, name, message):
    measured = shutil.copytree(world[0] / "measured", tmp_path / "measured")
    if name == "answers":
        shutil.rmtree(measured / name)
    elif name == "record.json":
        (measured / name).write_text((measured / name).read_text().replace('"low": ', '"low": 1', 1))
    else:
        (measured / name).write_bytes((measured / name).read_bytes()[:-1])
    with pytest.raises(DamagedFile, match=message):
        certificate.certify(measured, world[1].ledger, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["measured"]


def test_certify_and_verify_by_command(tmp_path, capsys):
    out, secret, made = marked(tmp_path, 12)
    found = measuring.Collection(made.ledger, out, secret)
    measuring.measure(Memory(out), TOY, found, Query(), tmp_path / "measured")
    ledger_option = ["--ledger", str(secret)]
    assert main(["certify", str(tmp_path / "measured"), *ledger_option]) == 0
    issued = tmp_path / "measured" / "certificate"
    check = ["verify", str(issued / "certificate.json"), *ledger_option, "--commitment", str(secret / "commitment.json")]
    assert main(check) == 0
    assert "BAD" not in capsys.readouterr().out
    (issued / "certificate.html").write_text("changed")
    assert main(check) == 1
    assert "BAD  page: changed" in capsys.readouterr().out
    assert main(["certify", str(tmp_path / "measured"), *ledger_option]) == 2
    assert "a folder that is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "JSON of schema"),
        ('{"schema": "solidmark.certificate/2"}', "a newer solidmark"),
        ('{"schema": "solidmark.certificate/1"}', "no answers"),
    ],
)
def test_what_is_no_certificate_is_refused(tmp_path, text, message):
    (tmp_path / "certificate.json").write_text(text)
    with pytest.raises(DamagedFile, match=message):
        certificate.read(tmp_path)
    with pytest.raises(InvalidValue, match="Give the folder of a certificate"):
        certificate.read(tmp_path / "nowhere")


def test_the_answered_pictures_are_those_of_the_model(world):
    folder, found = world
    made = certificate.read(folder / "certificate")
    one = made["certified"][0]
    row = found.ledger.rows[one["number"]]
    shown = pixels(folder / "certificate" / "pictures" / one["pictures"]["answered"]["file"])
    assert (shown == pixels(found.marked / row.marked)).all()
    assert ledger.load(found.folder) == found.ledger


def test_the_page_says_which_pipeline_was_called_how_and_what_was_warned_of(copy):
    made = certificate.read(copy)
    assert not {"pipeline", "scheduler", "Warnings"} & set(re.findall(r"<(?:th|h2)>(\w+)<", certificate.page(made, copy)))
    known = {"pipeline": "Own", "stock": "Stock<Pipeline", "source": "abc", "call": "theirs", "call_source": "def"}
    made["record"]["model"]["pipeline"] = {**known, "scheduler": "DDIMScheduler", "scheduler_settings": {"eta": 0.5, "x": 1}}
    made["record"]["warnings"] = ["PNDM with 20 steps", "a < b"]
    page = certificate.page(made, copy)
    for told in ("Own, a Stock&lt;Pipeline", "source sha256 abc", "theirs<br><code>source sha256 def", "DDIMScheduler",
                 "eta 0.5, x 1", "<li>PNDM with 20 steps</li>", "<li>a &lt; b</li>"):  # fmt: skip
        assert told in page
    made["record"]["model"]["pipeline"]["call"] = None
    assert "its own call" in certificate.page(made, copy)
