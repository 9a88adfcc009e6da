"""The page docs/evidence-benchmark.md: ``make benchmark-evidence``.

Seeded: all but the times of the section on cost come out the same everywhere.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.evidence import (
    against_peers,
    bound,
    clumps,
    combinations,
    cost,
    defaults,
    false_alarms,
    late_onset,
)
from benchmarks.evidence.table import Section

PAGE = Path(__file__).parents[2] / "docs" / "evidence-benchmark.md"


def at_60_000() -> Section:
    return against_peers.at_matched_alarms(60_000)


SECTIONS: tuple[Callable[[], Section], ...] = (
    against_peers.at_defaults,
    against_peers.at_matched_alarms,
    at_60_000,
    bound.section,
    false_alarms.section,
    clumps.section,
    late_onset.section,
    defaults.detection,
    defaults.grossly_failing,
    defaults.promotion,
    defaults.whole_rollouts,
    combinations.section,
)

MET = {True: "yes", False: "no"}

INTRODUCTION = """\
# The evidence, measured

Written by `make benchmark-evidence`, in one run of {seconds:.0f} s on {workers} processes. Seeded:
all but the times of the last section come out the same on every machine. What the words mean is in
[evidence](evidence.md); the peers' rules are rebuilt in benchmarks/peers from their sources.

{goals}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="print the page, write nothing")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    started = time.monotonic()
    with ProcessPoolExecutor(given.workers) as pool:
        running = [pool.submit(section) for section in SECTIONS]
        sections = []
        for future in running:
            sections.append(future.result())
            print(f"{time.monotonic() - started:5.0f} s  {sections[-1].title}", file=sys.stderr)
    # By itself, when the processors have nothing else to do.
    sections.append(cost.section())
    page = INTRODUCTION.format(
        seconds=time.monotonic() - started, workers=given.workers, goals=_goals(sections)
    )
    page += "\n" + "\n\n".join(section.markdown() for section in sections) + "\n"
    if given.print:
        print(page)
    else:
        PAGE.write_text(page)


def _goals(sections: list[Section]) -> str:
    lines = ["| section | goal: found | met |", "| --- | --- | --- |"]
    for section in sections:
        if section.goal is not None:
            lines.append(f"| {section.title} | {section.wanted} | {MET[section.goal]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
