"""All rows of `cabina bench`: the engine's, the café's, and those of customers' PCs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from node import bench, bench_cafe, bench_floor

ALL: dict[str, tuple[bench.Bench, float]] = {
    **bench.BENCHES,
    **bench_cafe.BENCHES,
    **bench_floor.BENCHES,
}


def main(names: list[str], *, as_json: bool) -> int:
    """Measure the named rows; or be one of their processes."""
    what, _, rest = names[0].partition(":") if len(names) == 1 else ("", "", "")
    if what == "café":
        asyncio.run(bench_cafe.serve(Path(rest)))
        return 0
    if what == "station":
        port, _, folder = rest.partition(":")
        asyncio.run(bench_cafe.send(Path(folder), int(port)))
        return 0
    if what == "floor":
        work, _, folder = rest.partition(":")
        asyncio.run(bench_floor.serve(Path(folder), work))
        return 0
    return bench.run(names, ALL, as_json=as_json, units=bench_floor.UNITS)
