"""What the signals of solid.js and solid2.js cost, beside a store with Solid's ``reconcile``.

    python -m tests.benchmarks.bench_solid [--pairs P]

In Node with Solid's build for browsers, both versions, from npm. Each turn reads 10,000 jobs in the
pages that a hub sends (CPU time, garbage collection included, above that of parsing the text) and
then changes one job at a time among 1,000 rows of which each has an effect (wall time of a message
until its effect has run, parsing included). The naive store keeps the jobs in an array and
reconciles it by id after each message. The targets: 50 ms, and 0.1 ms for a change.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from jobctl.page import CLIENT_FILES, asset
from tests import npm
from tests.benchmarks.measure import ratio, table

_PAGE = Path(__file__).parent.parent / "page"
_VERSIONS = {"1.9": ("package.json", "solid.js"), "2": ("solid2.json", "solid2.js")}


def project(folder: Path, packages: str) -> None:
    """The client, the benchmark and one version of Solid."""
    folder.mkdir()
    for name in CLIENT_FILES:
        (folder / name).write_text(asset(name))
    shutil.copy(_PAGE / packages, folder / "package.json")
    npm.install_packages(folder, _PAGE / "bench.solid.mjs", _PAGE / "fakes.mjs")


def run(folder: Path, binding: str) -> dict[str, Any]:
    """The figures of one run, of both stores."""
    ran = subprocess.run(
        ["node", "--expose-gc", "--conditions=browser", "bench.solid.mjs"],
        cwd=folder, env={**os.environ, "BINDING": f"./{binding}"},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    figures: dict[str, Any] = json.loads(ran.stdout)
    return figures


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    pairs = parser.parse_args().pairs
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for version, (packages, binding) in _VERSIONS.items():
            folder = Path(temporary) / f"solid{version}"
            project(folder, packages)
            results = [run(folder, binding) for _ in range(pairs)]
            for what, key in (("10,000 jobs", "storeMs"), ("one change of 1,000", "updateMs")):
                ours = [result["ours"][key] for result in results]
                naive = [result["naive"][key] for result in results]
                rows.append((
                    version, what, f"{median(ours):.3g} ms", f"{median(naive):.3g} ms",
                    f"{ratio(zip(naive, ours, strict=True)):.3g}",
                ))  # fmt: skip
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    title = f"jobs in Solid, Node {node.stdout.strip()}"
    table(title, ("Solid", "what", "signals", "reconcile", "ratio"), rows)


if __name__ == "__main__":
    main()
