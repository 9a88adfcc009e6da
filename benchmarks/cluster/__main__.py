"""``python -m benchmarks.cluster [calls] [endpoints] [long]``: a table, row by row."""

from __future__ import annotations

import sys

from benchmarks.cluster import calls, endpoints, long
from benchmarks.cluster.stage import row
from tests.kubernetes import at_hand

PARTS = {"calls": calls.rows, "endpoints": endpoints.rows, "long": long.rows}


def main(chosen: list[str]) -> int:
    if at_hand.kubeconfig() is None:
        print(at_hand.NONE, file=sys.stderr)
        return 2
    print(row("what", "measured", "goal"))
    print(row("---", "---", "---"))
    for part in chosen or PARTS:
        for line in PARTS[part]():
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
