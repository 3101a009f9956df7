"""The README's picture of the page: `make results`, then `python design/page_picture.py` writes design/page.png.

It needs Chromium; the environment variable CHROMIUM names another path.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

SIZE = 1400, 930
PAGE = Path(__file__).parents[1] / "build" / "results" / "leaderboard.html"


def main(page: Path) -> None:
    """The first screen, in few colours."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        sys.exit("there is no Chromium: set CHROMIUM to its path")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={SIZE[0]},{SIZE[1]}"]
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder, "page.png")
        subprocess.run([found, *flags, f"--screenshot={shot}", page.resolve().as_uri()], check=True, capture_output=True)
        with Image.open(shot) as picture:
            small = picture.convert("RGB").quantize(128, method=Image.Quantize.MAXCOVERAGE)
            small.save(Path(__file__).with_name("page.png"), optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE)
