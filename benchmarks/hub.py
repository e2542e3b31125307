"""What publishing costs, on a local Hub.

    python benchmarks/hub.py                     2 GB of pictures: throughput and memory against push_to_hub and a copy
    python benchmarks/hub.py --part training     what publishing every checkpoint adds to a training step

The last line is one JSON object with every figure.
"""

import argparse
import json
import os

from hub_dataset import dataset
from hub_training import training

PARTS = {
    "dataset": lambda options: dataset(options.gb, options.repeats, options.tiny),
    "training": lambda options: training(options.repeats, options.tiny),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, default="dataset")
    parser.add_argument("--gb", type=float, default=2.0, help="size of the dataset (2)")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of so many counts (3)")
    parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes, to see that it runs")
    options = parser.parse_args()
    # One core for each library; the Hub has the other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(json.dumps({"part": options.part, **PARTS[options.part](options)}))


if __name__ == "__main__":
    main()
