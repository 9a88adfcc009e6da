"""The window record in a real cluster: small parts, bounded, and no removal stops a rollout."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.builders import endpoint
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from weir.document import EndpointDocument
from weir.kubernetes import windows as record
from weir.kubernetes.kinds import CONFIG_MAP, Object, name_of
from weir.kubernetes.state import KubernetesState
from weir.kubernetes.windows import KubernetesWindows
from weir.window import Histogram, VersionCounts, Window

pytestmark = pytest.mark.kubernetes
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def place() -> Iterator[Place]:
    with at_hand.place() as found:
        KubernetesState(found.api()).write(EndpointDocument(endpoint=endpoint("fraud").build()))
        yield found


def of(place: Place) -> KubernetesWindows:
    api = place.api()
    return KubernetesWindows(api, KubernetesState(api))


def window(number: int, *, is_large: bool = False) -> Window:
    """A large one fills a part."""
    each, buckets = (10**6, range(1000)) if is_large else (1, range(20, 80))
    latency_ms = Histogram(counts=dict.fromkeys(buckets, each))
    counts = VersionCounts(requests=each * len(buckets), latency_ms=latency_ms)
    return Window(
        id=number,
        start=NOON,
        end=NOON + timedelta(seconds=5),
        split={"v1": 90, "v2": 10},
        versions={"v1": counts, "v2": counts},
    )


def parts(place: Place) -> list[Object]:
    return place.admin.list(CONFIG_MAP, record.COMPONENT)[0]


def ids(windows: KubernetesWindows, release: str = "r1") -> list[int]:
    return [one.id for one in windows.read("fraud", release)]


def test_parts_are_small_and_a_window_is_one_write(place: Place) -> None:
    api = place.api()
    windows = KubernetesWindows(api, KubernetesState(api))
    many = 200
    for number in range(many):
        windows.append("fraud", "r1", window(number))
    assert api.calls["patch"] + api.calls["create"] == many
    sizes = [sum(map(len, one["data"].values())) for one in parts(place)]
    assert len(sizes) > 1
    assert max(sizes) <= record.FULL_BYTES
    assert ids(windows) == list(range(many))


def test_the_oldest_part_goes_when_there_are_too_many(place: Place) -> None:
    windows = of(place)
    many = record.MOST_PARTS + 3
    for number in range(many):
        windows.append("fraud", "r1", window(number, is_large=True))
    assert ids(windows) == list(range(3, many))
    assert len(parts(place)) == record.MOST_PARTS
    again = of(place)
    for number in (many - 1, many):
        again.append("fraud", "r1", window(number, is_large=True))
    assert ids(again) == list(range(4, many + 1))


def test_a_record_that_somebody_removes_is_begun_anew(place: Place) -> None:
    windows = of(place)
    windows.append("fraud", "r1", window(0))
    for one in parts(place):
        place.admin.delete(CONFIG_MAP, name_of(one))
    windows.append("fraud", "r1", window(1))
    windows.append("fraud", "r1", window(2))
    assert ids(windows) == [1, 2]


def test_a_newest_part_that_somebody_removes_is_not_missed(place: Place) -> None:
    windows = of(place)
    for number in range(3):
        windows.append("fraud", "r1", window(number, is_large=True))
    place.admin.delete(CONFIG_MAP, "fraud.windows.r1.2")
    windows.append("fraud", "r1", window(3))
    assert ids(windows) == [0, 1, 3]


def test_what_is_known_of_other_releases_is_their_names_alone(place: Place) -> None:
    for release in ("r1", "r2"):
        of(place).append("fraud", release, window(0))
    listed = place.api().list_metadata(CONFIG_MAP, record.COMPONENT)
    assert sorted(map(name_of, listed)) == ["fraud.windows.r1.0", "fraud.windows.r2.0"]
    assert all("data" not in one for one in listed)
    api = place.api()
    KubernetesWindows(api, KubernetesState(api)).append("fraud", "r2", window(1))
    assert api.calls == {"list": 1, "get": 1, "patch": 1}
