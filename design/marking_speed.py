"""What marking costs: `python design/marking_speed.py FOLDER COUNT...`, for COUNT images of 512 x 512 pixels each time.

For each: seconds of processor time of `solidmark mark` with all its processes, the share of reading images (JPEG) and
writing PNG, which no marking can avoid, and the most memory of any process.
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from solidmark.collection import pictures

SIDE = 512


def scene(seed: int) -> bytes:
    """A JPEG of smooth colours and some texture, which compresses like a photograph."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    pixels = np.asarray(coarse).astype(np.int16) + rng.normal(0, 6, (SIDE, SIDE, 1)).round().astype(np.int16)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def fill(folder: Path, count: int) -> None:
    """`count` images with captions."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(scene(number))
    lines = (json.dumps({"file_name": f"{number}.jpg", "text": f"scene {number}"}) for number in range(count))
    (folder / "metadata.jsonl").write_text("\n".join(lines))


def unavoidable(folder: Path, count: int) -> float:
    """Seconds of processor time of reading and writing alone, from a sample."""
    sample = [(folder / f"{number}.jpg").read_bytes() for number in range(min(count, 200))]
    clock = time.process_time()
    for data in sample:
        pictures.encode(np.pad(pictures.decode(data, "")[0], ((32, 32), (32, 32), (0, 0))))
    return (time.process_time() - clock) * count / len(sample)


def main() -> None:
    """A line for each count."""
    folder = Path(sys.argv[1])
    spent = 0.0
    for count in map(int, sys.argv[2:]):
        images = folder / f"{count}-images"
        fill(images, count)
        least = unavoidable(images, count)
        subprocess.run([sys.executable, "-m", "solidmark", "mark", images, folder / f"{count}-out"], check=True)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        used, spent = usage.ru_utime + usage.ru_stime - spent, usage.ru_utime + usage.ru_stime
        share, memory = least / used, usage.ru_maxrss / 1024
        print(f"{count} images: {used:.0f} s, reading and writing {share:.0%}, {memory:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
