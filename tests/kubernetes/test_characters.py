"""Every character that a release file may hold reaches the cluster as it is."""

from __future__ import annotations

import pytest

from tests.builders import version
from tests.kubernetes import at_hand
from weir.kubernetes.kinds import DEPLOYMENT
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.spec.inference import Inference

pytestmark = pytest.mark.kubernetes
ODD = 'ship it \U0001f680 \U0010ffff é \x7f\x85\x9b\u2028\u2029\ufeff\ufffd "\\ud83d" \\ \t end'


def test_it_does() -> None:
    with at_hand.place() as place:
        workloads = KubernetesWorkloads(place.api(), place.settings)
        inference = Inference(image="registry.example/x:1", environment_variables={"ODD": ODD})
        wanted = version("v1").model_copy(update={"inference": inference})
        workloads.apply("fraud", wanted)
        found = place.admin.get(DEPLOYMENT, "fraud--v1")
        assert found is not None
        (model,) = (
            one
            for one in found["spec"]["template"]["spec"]["containers"]
            if any(each["name"] == "ODD" for each in one.get("env", ()))
        )
        (odd,) = (one for one in model["env"] if one["name"] == "ODD")
        assert odd["value"] == ODD
        assert workloads.difference("fraud", wanted) == ()
