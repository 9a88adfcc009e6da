from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.azure.double import Double
from weir.azure.asking import Asking
from weir.azure.identity import Identity, SignIn, credential


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Double]:
    with Double(tmp_path) as double:
        yield double


def identity_at(azure: Double, **changed: str) -> Identity:
    """The double's own application, signing in by its secret."""
    directory = azure.directory
    known = {
        "tenant_id": directory.tenant,
        "client_id": directory.client_id,
        "client_secret": directory.secret,
    }
    return Identity(sign_in=SignIn.SECRET, **{**known, **changed})


@pytest.fixture
def slept() -> list[float]:
    """Seconds that ``asking`` would have slept."""
    return []


@pytest.fixture
def asking(azure: Double, slept: list[float]) -> Asking:
    signed_in = credential(identity_at(azure), azure.cloud)
    return Asking(signed_in, azure.cloud, sleep=slept.append)
