"""What went wrong on the page: faults one by one, what does not apply by its reason."""

from record_samples import case, failed
from solidmark.reports import page, wrong

from solidmark.leaderboard import build_leaderboard


def unsupported(name: str, seed: int) -> dict:
    return failed(f"{name}(x=1)", reason="there are no captions", status="unsupported", seed=seed, case_id=f"{name}-{seed}")


def test_a_method_that_does_not_apply_has_not_failed() -> None:
    records = [case(), failed("broken", reason="no room"), *(unsupported(name, seed) for name in "ab" for seed in (0, 1))]
    found = wrong.wrong(build_leaderboard(records))
    assert [incident.reason for incident in found.incidents] == ["no room"]
    assert found.unsupported == [("a, b", "there are no captions")]
    assert found.count == 1


def test_the_page_says_it_in_one_line() -> None:
    site = page.render(build_leaderboard([case(), unsupported("a", 0), unsupported("a", 1)]), [])
    assert "<li><b>a</b>: there are no captions</li>" in site
    assert "Nothing: no case failed" in site
