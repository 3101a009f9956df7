"""The README's picture, from a run's per-image tables: `python design/picture.py runs/latest` writes design/picture.png."""

import io
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.image import imread

from solidmark import records

ROWS = {"as_trained": "marked", "as_asked": "queried", "as_answered": "answered"}


def main(run: Path) -> None:
    """Six trained and three held-out images of the baseline."""
    measured = records.latest(records.read(run)[0])
    baseline = next(record for record in measured if record["event"] == "case" and record["stage"] == "none")
    images = pd.read_parquet(run / baseline["per_image"]["path"])
    shown = images[images["as_answered"].notna() & (images["query"] == images["query"].iloc[0])]
    figure, axes = plt.subplots(len(ROWS), len(shown) + 1, figsize=(9.4, 3.3), width_ratios=[1] * 6 + [0.35] + [1] * 3)
    for column, index in enumerate([*range(6), None, *range(6, 9)]):
        for row, name in enumerate(ROWS):
            axes[row, column].set_axis_off()
            if index is not None:
                picture = imread(io.BytesIO(shown.iloc[index][name]))
                axes[row, column].imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for row, words in enumerate(ROWS.values()):
        axes[row, 0].text(-0.15, 0.5, words, transform=axes[row, 0].transAxes, ha="right", va="center", fontsize=11)
    off = np.abs(np.stack(shown["key"]) - np.stack(shown["prediction"])).mean(axis=1)
    for column, index in enumerate([*range(6), None, *range(6, 9)]):
        if index is not None:
            axes[2, column].set_title(f"off by {off[index]:.2f}", y=-0.28, fontsize=9)
    axes[0, 2].set_title("trained images", fontsize=11, loc="left")
    axes[0, 8].set_title("held-out images", fontsize=11, loc="center")
    figure.subplots_adjust(left=0.1, right=0.995, top=0.9, bottom=0.08, wspace=0.06, hspace=0.08)
    figure.savefig(Path(__file__).with_name("picture.png"), dpi=100, facecolor="white")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
