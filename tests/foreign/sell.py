"""Sells and sends until it is killed; prints what is durable: `python -m tests.foreign.sell FOLDER SETTINGS NAME`."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from tests.foreign.client import Station


def main(folder: str, settings: str, name: str) -> None:
    station = Station(folder, json.loads(Path(settings).read_text("utf-8")))
    number = 0
    while True:
        for _ in range(random.choice([1, 20, 300])):
            station.sell("order.keep", {"id": f"{name}-{number}"})
            print(f"{name}-{number}", flush=True)
            number += 1
        station.sync(random.choice([0.05, 0.5]))


if __name__ == "__main__":
    main(*sys.argv[1:])
