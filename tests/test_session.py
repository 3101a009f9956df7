"""A session as a worker gets it: nothing of it is lost on the way."""

from pathlib import Path

from solidmark.runner.options import Options
from solidmark.runner.session import Selection, Session


def test_a_session_comes_back_whole_from_the_string_that_workers_get():
    options = Options(profile="standard", testbeds=("digits", "mnist"), mitigations=("rna(count=8)",), seeds="0-2")
    whole = Session(options, Path("/runs/one"), frozenset({"b", "a"}), "plain", 60.0, Selection("rna", "sampling"))
    again = Session.from_json(whole.to_json())
    assert (again.options, again.run, again.done) == (options, Path("/runs/one"), {"a", "b"})
    assert (again.progress, again.case_timeout, again.selection) == ("plain", 60.0, Selection("rna", "sampling"))
    assert again.to_json() == whole.to_json()
