from __future__ import annotations

from pathlib import Path

import pytest

from weir.errors import UserError
from weir.local.images import LocalImages
from weir.ports import BuildContext
from weir.spec.inference import Inference


def test_an_image_alone_is_sent_to_the_cluster_that_kubectl_reaches_first(tmp_path: Path) -> None:
    context = BuildContext(None, tmp_path, None, Inference(image="registry/fraud:1"))
    with pytest.raises(UserError) as raised:
        LocalImages(tmp_path).digest(context)
    assert raised.value.reason == "image.no_server"
    assert "--platform kubernetes, or weir-kubernetes-cluster/NAME." in raised.value.remedy
