"""What goes wrong with a test cluster, said in one sentence."""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster could not be built, started or asked; the message says why."""
