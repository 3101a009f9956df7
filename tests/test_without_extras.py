"""Plain `pytest` in a checkout: files that need what is not installed are left out, and the others run."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def suite(pytestconfig):
    """The conftest of these tests."""
    return pytestconfig.pluginmanager.get_plugin(str(HERE / "conftest.py"))


def test_files_that_need_what_is_not_installed_are_left_out(suite, monkeypatch):
    monkeypatch.setattr(suite, "MISSING", {"hypothesis"})
    files = [HERE / name for name in ("test_keys.py", "test_console.py", "test_marks.py", "test_watch.py")]
    assert suite.left_out(files) == ["test_keys.py", "test_marks.py"]
    assert "hypothesis is not installed: pip install -e '.[test]'" in suite.pytest_report_header()


def test_a_file_needs_what_the_files_beside_it_need(suite, tmp_path):
    (tmp_path / "samples.py").write_text("import statsmodels.stats\n")
    (tmp_path / "test_one.py").write_text("from samples import one\nimport samples\n")
    assert suite.imports(tmp_path / "test_one.py") == {"samples", "statsmodels"}
