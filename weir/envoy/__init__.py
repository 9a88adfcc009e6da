"""Envoy configuration as values: everything here is rendering and parsing, nothing is sent.

A request passes Envoy twice. The *front* listener authenticates, chooses the version by weight or
by the forcing header, and writes the access log. It hands over to the version's inner listener in
the same process, which admits as many requests at once as the replicas take, and holds timeout and
retries. The hop exists because Envoy cannot bound the time that a request waits for a free slot:
the inner listener closes the door at once, and the front knocks again, with a jittered pause,
until the wait is used up.

Limits of that wait: it is a number of attempts, so its length scatters around
``max_request_wait_time`` (about 7 % standard deviation); waiting requests are admitted in no
particular order; the versions of one split wait as long as the most patient of them; a dead replica
keeps its share of the concurrency until it is replaced. A request is taken in whole before it asks
for a slot, and so may have ``LARGEST_BODY_BYTES``.
"""

from weir.envoy.bootstrap import FLUSH_SECONDS, bootstrap, command
from weir.envoy.clusters import (
    IN_FLIGHT_STATS,
    clusters,
    endpoints,
    in_flight,
    replicas_cluster,
)
from weir.envoy.listeners import front_listener, listener_port, replica_listener
from weir.envoy.resources import parse, render, union, version_info
from weir.envoy.routes import (
    FORCE_HEADER,
    FRONT,
    LARGEST_BODY_BYTES,
    SCORING_PATH,
    front_routes,
    split_of,
    with_keys,
)

__all__ = [
    "FLUSH_SECONDS",
    "FORCE_HEADER",
    "FRONT",
    "IN_FLIGHT_STATS",
    "LARGEST_BODY_BYTES",
    "SCORING_PATH",
    "bootstrap",
    "clusters",
    "command",
    "endpoints",
    "front_listener",
    "front_routes",
    "in_flight",
    "listener_port",
    "parse",
    "render",
    "replica_listener",
    "replicas_cluster",
    "split_of",
    "union",
    "version_info",
    "with_keys",
]
