"""What augmentation does for a training on 200 digits of 16x16, as a Markdown table.

    python tests/bench/few_digits.py FOLDER

Each training is that of `tests/test_digits_fewshot.py`, with what the row names: about 40 CPU-seconds on one thread
(OMP_NUM_THREADS=1). The figure is the Fréchet distance to held-out digits at the end, by a classifier of other digits.
"""

import argparse
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from test_digits_fewshot import SEEDS, TRANSLATION, Unseen, distance_at_the_end  # noqa: E402

ROWS: dict[str, list[str]] = {
    "none": [],
    "`diffaugment`, translation": [TRANSLATION],
    "`diffaugment`, whole": ['augment=["diffaugment"]'],
    "`rotate` by 15 degrees + `translate` by 7%, reflected": [
        'augment=[{name="rotate", degrees=15.0, padding="reflect"}, {name="translate", ratio=0.07, padding="reflect"}]'
    ],
    "`ada`, the changes that leave a digit itself": [
        'augment=[{name="ada", policy=["shift", "scale", "rotation", "stretch", "drift"]}]'
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path, help="an empty one, for runs and for the digits")
    folder: Path = parser.parse_args().folder
    unseen = Unseen(folder)
    print(f"| augmentation | distance, seeds {', '.join(map(str, SEEDS))} | mean |\n|---|---|---|", flush=True)
    for number, (name, overrides) in enumerate(ROWS.items()):
        found = [distance_at_the_end(unseen, seed, folder / f"{number}-{seed}", *overrides) for seed in SEEDS]
        each, mean = ", ".join(f"{value:.1f}" for value in found), sum(found) / len(found)
        print(f"| {name} | {each} | {mean:.1f} |", flush=True)
    print(f"| (the 200 digits themselves) | {unseen.distance(unseen.few):.1f} | |")


if __name__ == "__main__":
    main()
