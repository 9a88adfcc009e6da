from __future__ import annotations

from collections.abc import Sequence

from tests.unit.local.test_probing import AtOnce
from weir.local.draining import Drain, Publisher

LABELS = {"endpoint": "fraud", "version": "v1"}
V1 = ("fraud", "v1")
HEALTHY = (("127.0.0.1:1", "HEALTHY"),)


class FakeGateways:
    def __init__(self, *active: int) -> None:
        self.active = list(active)
        self.published: list[tuple[str, Sequence[tuple[str, str]]]] = []
        self.rotated: list[str] = []
        self.broken = False

    def publish(self, endpoint: str, version: str, addresses: Sequence[tuple[str, str]]) -> None:
        if self.broken:
            raise OSError("broken")
        self.published.append((f"{endpoint}.{version}", addresses))

    def active_requests(self, *_: str) -> int:
        return self.active.pop(0) if len(self.active) > 1 else self.active[0]

    def rotate_access_log(self, endpoint: str) -> None:
        self.rotated.append(endpoint)


def over_at(gateways: FakeGateways, timeout_seconds: float) -> float:
    drain = Drain(gateways, AtOnce(), LABELS, "127.0.0.1:1", 0.0, timeout_seconds)
    return next(tenth / 10 for tenth in range(1000) if drain.is_over(tenth / 10))


def test_an_idle_replica_is_drained_as_soon_as_the_gateway_has_followed() -> None:
    assert 0.3 < over_at(FakeGateways(0), 30) < 1


def test_a_busy_replica_is_waited_for() -> None:
    assert 2 < over_at(FakeGateways(*[1] * 20, 0), 30) < 4


def test_one_free_answer_between_two_busy_ones_is_not_enough() -> None:
    assert over_at(FakeGateways(0, 1, 1, 1, 1, 1, 1, 1, 1, 0), 30) > 1


def test_a_replica_that_never_gets_free_is_waited_for_until_its_grace_ends() -> None:
    assert over_at(FakeGateways(1), 5) == 5


def test_only_changes_are_published() -> None:
    gateways = FakeGateways(0)
    publisher = Publisher(gateways, print)
    for _ in range(3):
        publisher.publish({V1: HEALTHY})
    assert gateways.published == [("fraud.v1", HEALTHY)]


def test_a_version_without_processes_is_published_empty_once() -> None:
    gateways = FakeGateways(0)
    publisher = Publisher(gateways, print)
    publisher.publish({V1: HEALTHY})
    publisher.publish({})
    publisher.publish({})
    assert gateways.published == [("fraud.v1", HEALTHY), ("fraud.v1", ())]


def test_what_could_not_be_published_is_tried_again_and_said_once() -> None:
    gateways, said = FakeGateways(0), list[str]()
    publisher = Publisher(gateways, said.append)
    gateways.broken = True
    publisher.publish({V1: HEALTHY})
    publisher.publish({V1: HEALTHY})
    gateways.broken = False
    publisher.publish({V1: HEALTHY})
    assert gateways.published == [("fraud.v1", HEALTHY)]
    assert len(said) == 1
