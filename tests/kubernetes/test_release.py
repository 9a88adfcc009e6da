"""Whole releases on a real control plane, as a person types them; callers and pods are played."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.lab import Lab
from tests.kubernetes.callers import Callers
from tests.kubernetes.site import EXAMPLES, site
from weir.document import Outcome
from weir.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, SECRET, SERVICE, name_of

pytestmark = pytest.mark.kubernetes


def test_a_good_version_is_promoted_a_bad_one_goes_back_and_deleting_leaves_nothing(
    lab: Lab, tmp_path: Path
) -> None:
    callers = Callers("fraud", failing={"v3": 0.3})
    with site(lab, tmp_path, callers) as there:
        first = there.weir("release", EXAMPLES / "release-v1.yaml")
        assert first.returncode == 0, first.stdout + first.stderr
        assert "checked: 2 of 2 samples" in first.stdout

        good = there.weir("release", there.release_file("v2"))
        assert good.returncode == 0, good.stdout + good.stderr
        assert there.split() == "v2 100 %"

        bad = there.weir("release", there.release_file("v3"))
        assert bad.returncode == 1, bad.stdout + bad.stderr
        assert there.split() == "v2 100 %"
        document = there.document()
        assert [past.outcome for past in document.history] == [
            Outcome.PROMOTED,
            Outcome.PROMOTED,
            Outcome.ROLLED_BACK,
        ]
        deployments, _ = there.place.admin.list(
            DEPLOYMENT, {"app.kubernetes.io/managed-by": "weir"}
        )
        assert sorted(map(name_of, deployments)) == ["fraud--v1", "fraud--v2"]

        status = there.weir("status", "fraud")
        assert "v2" in status.stdout
        assert "healthy" in status.stdout

        gone = there.weir("delete", "fraud", "--yes")
        assert gone.returncode == 0, gone.stdout + gone.stderr
        for kind in (DEPLOYMENT, SERVICE, SECRET, CONFIG_MAP):
            left, _ = there.place.admin.list(kind, {"weir/endpoint": "fraud"})
            assert list(map(name_of, left)) == []
