"""weir through bad weather: refusals, broken connections, lost answers, forgotten pasts."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from tests.builders import endpoint, version
from tests.eventually import eventually
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from tests.kubernetes.flaky import OF_CALLS, Fault, Weather, weather
from weir.clock import SystemClock
from weir.document import EndpointDocument
from weir.endpoint import Split
from weir.errors import StateConflict
from weir.kubernetes.api import Api
from weir.kubernetes.connection import connect
from weir.kubernetes.following import Following
from weir.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, POD, Object, name_of
from weir.kubernetes.names import of_state
from weir.kubernetes.state import KubernetesState
from weir.kubernetes.traffic import KubernetesTraffic
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.readiness import wait_until_ready

pytestmark = pytest.mark.kubernetes

ANY = {"weir-test": "yes"}
LASTING = (Fault.TOO_MANY, Fault.UNAVAILABLE, Fault.NOT_SENT, Fault.LOST_ANSWER)


class Outside:
    """A namespace that weir sees through the weather."""

    def __init__(self, place: Place, sky: Weather) -> None:
        self.place, self.sky = place, sky
        self.api = Api(connect(sky.access), place.namespace, 30)


@contextmanager
def outside() -> Iterator[Outside]:
    with at_hand.place() as place, weather(place.access) as sky:
        yield Outside(place, sky)


def document() -> EndpointDocument:
    return EndpointDocument(endpoint=endpoint("fraud").control("v1").treatment("v2", 5).build())


@pytest.mark.parametrize("fault", OF_CALLS)
def test_every_call_is_tried_again_and_nothing_is_done_twice(fault: Fault) -> None:
    with outside() as there:
        state = KubernetesState(there.api)
        began = time.monotonic()
        there.sky.once(fault, "POST")
        first = state.write(document())
        there.sky.once(fault, "PATCH")
        second = state.write(first.changed(previous="v1"))
        there.sky.once(fault, "GET")
        assert state.read("fraud") == second
        assert KubernetesState(there.place.api()).read("fraud") == second
        assert second.revision == 2
        there.sky.once(fault, "DELETE")
        state.remove(second)
        assert state.read("fraud") is None
        assert there.sky.happened[fault] >= 3
        assert time.monotonic() - began < 8


def test_a_lost_answer_is_no_conflict_and_anothers_write_is_one() -> None:
    with outside() as there:
        state, other = KubernetesState(there.api), KubernetesState(there.place.api())
        there.sky.once(Fault.LOST_ANSWER, "POST")
        first = state.write(document())
        there.sky.once(Fault.LOST_ANSWER, "PATCH")
        second = state.write(first.changed(previous="v1"))

        theirs = other.write(second.changed(previous="v2"))
        there.sky.once(Fault.LOST_ANSWER, "PATCH")
        with pytest.raises(StateConflict):
            state.write(second.changed(previous="v1"))
        assert state.read("fraud") == theirs

        other.remove(theirs)
        there.sky.once(Fault.LOST_ANSWER, "POST")
        again = state.write(document())
        with pytest.raises(StateConflict):
            other.write(document())
        assert other.read("fraud") == again


def test_another_writes_after_a_lost_answer_and_both_writes_are_told_apart() -> None:
    with outside() as there:
        state, other = KubernetesState(there.api), KubernetesState(there.place.api())
        first = state.write(document())
        theirs = other.write(first.changed(previous="v2"))
        there.sky.once(Fault.NOT_SENT, "PATCH")
        with pytest.raises(StateConflict):
            state.write(first.changed(previous="v1"))
        assert state.read("fraud") == theirs


def test_what_was_removed_does_not_come_back_by_an_older_answer() -> None:
    with outside() as there:
        admin = there.place.admin
        old = admin.create(config_map("one"))
        with Following(there.api, CONFIG_MAP, labels=ANY) as followed:
            assert [name_of(one) for one in followed.objects()] == ["one"]
            admin.delete(CONFIG_MAP, "one")
            assert followed.wait_until(lambda: followed.get("one") is None, 10)
            followed.put(old)
            assert followed.get("one") is None
            made = admin.create(config_map("one"))
            followed.put(made)
            assert followed.get("one") == made


@pytest.mark.parametrize(
    "fault", [Fault.GONE, Fault.GONE_EVENT, Fault.ENDED, Fault.NOT_SENT, Fault.UNAVAILABLE]
)
def test_a_watch_goes_on_after(fault: Fault) -> None:
    with outside() as there:
        admin = there.place.admin
        admin.create(config_map("one"))
        with Following(there.api, CONFIG_MAP, labels=ANY) as followed:
            followed.objects()
            there.sky.once(fault, "WATCH")
            there.sky.cut()
            there.sky.is_cut = False
            admin.create(config_map("two"))
            admin.delete(CONFIG_MAP, "one")
            assert followed.wait_until(lambda: names_in(followed) == {"two"}, 10)
            eventually(lambda: there.sky.happened[fault] == 1)
            admin.create(config_map("three"))
            assert followed.wait_until(lambda: names_in(followed) == {"two", "three"}, 10)


def test_a_server_that_forgets_every_past_is_not_asked_without_a_pause() -> None:
    with outside() as there:
        there.sky.is_bad(lambda method, _: Fault.GONE if method == "WATCH" else None)
        with Following(there.api, CONFIG_MAP, labels=ANY) as followed:
            followed.objects()
            there.place.admin.create(config_map("one"))
            assert followed.wait_until(lambda: names_in(followed) == {"one"}, 10)
            eventually(lambda: there.sky.happened[Fault.GONE] >= 3)
        assert there.sky.happened[Fault.GONE] < 10


@pytest.mark.parametrize("seed", range(6))
def test_after_the_weather_the_followed_objects_are_those_there_are(seed: int) -> None:
    with outside() as there:
        admin, chance = there.place.admin, random.Random(seed)
        there.sky.seeded(seed, 0.5)
        present: set[str] = set()
        with Following(there.api, CONFIG_MAP, labels=ANY) as followed:
            for number in range(60):
                name = f"one-{chance.randrange(8)}"
                if name not in present:
                    admin.create(config_map(name))
                    present.add(name)
                elif chance.random() < 0.4:
                    admin.delete(CONFIG_MAP, name)
                    present.discard(name)
                else:
                    admin.patch(CONFIG_MAP, name, {"data": {"n": str(number)}})
                if number % 6 == 5:
                    there.sky.cut()
                    there.sky.is_cut = False
            there.sky.clear()
            fresh = versions_of(admin.list(CONFIG_MAP, ANY)[0])
            assert followed.wait_until(lambda: versions_of(followed.objects()) == fresh, 15)
            assert followed.is_live
        assert set(fresh) == present


def test_reading_through_a_cut_waits_for_its_end() -> None:
    with outside() as there, Following(there.api, CONFIG_MAP, labels=ANY) as followed:
        followed.objects()
        there.sky.cut()
        eventually(lambda: not followed.is_live)
        there.place.admin.create(config_map("one"))
        threading.Timer(2, there.sky.clear).start()
        began = time.monotonic()
        assert [name_of(one) for one in followed.objects()] == ["one"]
        assert 1 < time.monotonic() - began < 8


@pytest.mark.parametrize("seed", range(3))
def test_versions_and_splits_end_right_through_all_weathers(seed: int) -> None:
    with outside() as there:
        there.sky.seeded(seed, 0.25)
        workloads = KubernetesWorkloads(there.api, there.place.settings)
        traffic = KubernetesTraffic(there.api, there.place.settings)
        ready = traffic.ensure(endpoint("fraud").control("v1").treatment("v2").build())
        for one in ready.versions:
            workloads.apply("fraud", one)
            wait_until_ready(workloads, "fraud", one.name, timeout_seconds=60, clock=SystemClock())
        for share in (0, 10, 50, 100):
            wanted = Split.of({"v1": 100 - share, "v2": share})
            traffic.apply(ready.with_split(wanted))
            assert (
                KubernetesTraffic(there.place.api(), there.place.settings).split("fraud") == wanted
            )
        before = traffic.keys("fraud")
        after = traffic.rotate_key("fraud", "primary")
        assert after.secondary == before.secondary
        assert KubernetesTraffic(there.place.api(), there.place.settings).keys("fraud") == after
        assert traffic.trouble("fraud") == ""
        workloads.remove("fraud", "v1")
        assert workloads.versions("fraud") == ("v2",)
        workloads.remove("fraud", "v2")
        traffic.remove("fraud")
        for kind in (DEPLOYMENT, POD):
            ours = {"app.kubernetes.io/name": "weir-version"}
            assert there.place.admin.list(kind, ours)[0] == []
        assert there.sky.happened


@pytest.mark.parametrize("fault", LASTING)
def test_a_split_whose_write_meets(fault: Fault) -> None:
    with outside() as there:
        traffic = KubernetesTraffic(there.api, there.place.settings)
        ready = traffic.ensure(endpoint("fraud").build())
        there.sky.once(fault, "PATCH", "httproutes")
        began = time.monotonic()
        traffic.apply(ready)
        assert there.sky.happened[fault] == 1
        assert time.monotonic() - began < 6
        assert traffic.trouble("fraud") == ""


def config_map(name: str) -> Object:
    return CONFIG_MAP.object(name, ANY)


def names_in(followed: Following) -> set[str]:
    return {name_of(one) for one in followed.objects()}


def versions_of(objects: Iterable[Object]) -> dict[str, str]:
    return {name_of(one): one["metadata"]["resourceVersion"] for one in objects}


def test_a_document_that_another_label_changed_meanwhile_is_written_all_the_same() -> None:
    with outside() as there:
        state = KubernetesState(there.api)
        first = state.write(document())
        there.place.admin.patch(
            CONFIG_MAP, of_state("fraud"), {"metadata": {"labels": {"team": "risk"}}}
        )
        there.sky.once(Fault.LOST_ANSWER, "PATCH")
        second = state.write(first.changed(previous="v1"))
        assert state.read("fraud") == second
        assert version("v1") in second.endpoint.versions
