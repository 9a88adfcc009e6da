"""The API server's own count of what weir's account asks.

``apiserver_request_total`` does not tell who asks. Priority and fairness do: a FlowSchema that
matches only the account counts its requests, watches among them.
"""

from __future__ import annotations

import re
import time
from types import TracebackType
from typing import Self

from kubernetes import client

from tests.kubernetes.at_hand import ACCOUNT, Place
from weir.kubernetes.kinds import CONFIG_MAP

_COUNT = re.compile(
    r"^apiserver_flowcontrol_dispatched_requests_total\{([^}]*)\} ([0-9.e+]+)$", re.M
)


class ServerCounter:
    """A FlowSchema while the block lasts."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._name = f"weir-benchmark-{place.namespace}"
        self._schemas = client.FlowcontrolApiserverV1Api(place.connection)

    def __enter__(self) -> Self:
        account = {
            "kind": "ServiceAccount",
            "serviceAccount": {"name": ACCOUNT, "namespace": self._place.namespace},
        }
        everything = {
            "verbs": ["*"],
            "apiGroups": ["*"],
            "resources": ["*"],
            "namespaces": ["*"],
            "clusterScope": True,
        }
        self._schemas.create_flow_schema(
            {
                "metadata": {"name": self._name},
                "spec": {
                    "priorityLevelConfiguration": {"name": "workload-high"},
                    "matchingPrecedence": 500,
                    "rules": [
                        {
                            "subjects": [account],
                            "resourceRules": [everything],
                            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                        }
                    ],
                },
            }
        )
        api, deadline = self._place.api(), time.monotonic() + 30
        while not self.count() and time.monotonic() < deadline:
            api.get(CONFIG_MAP, "nothing")
            time.sleep(0.2)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._schemas.delete_flow_schema(self._name)

    def count(self) -> int:
        text = self._place.admin.text("/metrics", "read the metrics")
        return sum(
            int(float(number))
            for labels, number in _COUNT.findall(text)
            if f'flow_schema="{self._name}"' in labels
        )
