"""Nothing is lost: ten kills at random times, and the records are those of an undisturbed run."""

import subprocess
import sys
from pathlib import Path


def test_a_run_that_is_killed_ten_times_and_resumed_has_the_records_of_an_undisturbed_one(tmp_path):
    script = Path(__file__).with_name("kills.py")
    command = [sys.executable, str(script), "--kills", "10", "--every", "1.5", "--seed", "3", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 kills in" in done.stdout
