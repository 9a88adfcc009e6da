from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.telemetry import Request
from tests.unit.logs.gateway_log import Gateway
from weir.errors import TelemetryUnavailable
from weir.local.telemetry import LocalTelemetry

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def telemetry(home: Path) -> LocalTelemetry:
    return LocalTelemetry(home)


@pytest.fixture
def gateway(home: Path) -> Gateway:
    gateway = Gateway(home)
    gateway.clear()
    return gateway


def total(telemetry: LocalTelemetry, start: float, end: float, begun_after: float = -1e6) -> int:
    found = telemetry.read("fraud", at(start), at(end), at(begun_after))
    return sum(counts.requests for counts in found.values())


requests = st.lists(
    st.builds(
        lambda second, duration_us, version, code: Request(
            at(second), duration_us, version=version, code=code
        ),
        st.floats(0, 60).map(lambda second: round(second, 6)),
        st.integers(0, 30_000_000),
        st.sampled_from(["v1", "v2"]),
        st.sampled_from([200, 200, 200, 500, 422]),
    ),
    max_size=40,
)
cuts = st.lists(st.floats(0, 95).map(lambda second: round(second, 6)), max_size=4)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(served=requests, boundaries=cuts, rotations=cuts, jitter=st.randoms(use_true_random=False))
def test_every_request_is_counted_exactly_once_for_any_windows_and_rotations(
    telemetry, gateway, served, boundaries, rotations, jitter
):
    gateway.clear()
    written = sorted(
        served, key=lambda one: one.completed + timedelta(seconds=jitter.uniform(0, 0.5))
    )
    rest = list(written)
    for rotation in sorted(set(rotations)):
        before = [one for one in rest if one.completed < at(rotation)]
        gateway.log(before)
        rest = [one for one in rest if one.completed >= at(rotation)]
        gateway.rotate(at(rotation))
    gateway.log(rest)

    edges = [-1.0, *sorted(boundaries), 100.0]
    seen: dict[str, int] = {"v1": 0, "v2": 0}
    for start, end in pairwise(edges):
        if start < end:
            for name, counts in telemetry.read("fraud", at(start), at(end), at(-10)).items():
                seen[name] += counts.requests
    assert seen == {name: sum(one.version == name for one in served) for name in ("v1", "v2")}


def test_a_gateway_that_has_not_logged_yet_has_no_counts(telemetry, gateway):
    assert not gateway.live.exists()
    assert total(telemetry, 0, 60) == 0


def test_an_empty_log_has_no_counts(telemetry, gateway):
    gateway.log([])
    assert total(telemetry, 0, 60) == 0


def test_a_torn_last_line_is_left_for_the_next_window(telemetry, gateway):
    torn = Request(at(2)).line()
    gateway.log([Request(at(1))], tail=torn[:60])
    assert total(telemetry, 0, 60) == 1
    gateway.log([], tail=torn[60:])
    assert total(telemetry, 0, 60) == 2


@pytest.mark.parametrize(
    "rubbish", ["\n", "not json\n", '{"start":"x"}\n', "[]\n", "\x00\x00\n", '{"start":"1"}{\n']
)
def test_a_malformed_line_costs_only_itself(telemetry, gateway, rubbish):
    gateway.log([Request(at(1))], tail=rubbish)
    gateway.log([Request(at(2))], tail=rubbish * 3)
    gateway.log([Request(at(3))])
    assert total(telemetry, 0, 60) == 3


LONG = json.dumps({"forced": "\\u00ff" * 20_000}) + "\n"
"""Longer than a line of Envoy's can be."""


@pytest.mark.parametrize("before", [0, 1, 300])
def test_a_line_longer_than_envoys_own_hides_no_other(telemetry, gateway, before):
    gateway.log([Request(at(number / 10)) for number in range(before)], tail=LONG)
    gateway.log([Request(at(40 + number / 10)) for number in range(300)])
    assert total(telemetry, -10, 100) == before + 300
    assert total(telemetry, 50, 60) == 100


def test_a_log_of_one_line_that_cannot_be_understood_is_no_empty_one(telemetry, gateway):
    gateway.log([], tail=LONG)
    with pytest.raises(TelemetryUnavailable):
        total(telemetry, 0, 60)


def test_a_log_in_which_nothing_can_be_understood_is_unavailable_rather_than_empty(
    telemetry, gateway
):
    gateway.log([], tail="127.0.0.1 - GET /score 200\n" * 50)
    with pytest.raises(TelemetryUnavailable) as caught:
        total(telemetry, 0, 60)
    assert caught.value.reason == "telemetry.malformed"


def test_a_log_that_is_no_file_is_unavailable(telemetry, gateway):
    gateway.live.mkdir()
    try:
        with pytest.raises(TelemetryUnavailable) as caught:
            total(telemetry, 0, 60)
    finally:
        gateway.live.rmdir()
    assert caught.value.reason == "telemetry.unreadable"
    assert str(gateway.folder) in str(caught.value)


def test_a_live_log_that_is_just_being_renamed_is_read_once(telemetry, gateway):
    gateway.log([Request(at(1))])
    os.link(gateway.live, gateway.folder / "access-20261123T120002000000.log")
    assert total(telemetry, 0, 60) == 1


def test_only_the_rotated_log_is_there_until_envoy_opens_a_new_one(telemetry, gateway):
    gateway.log([Request(at(1))])
    gateway.rotate(at(2))
    assert total(telemetry, 0, 60) == 1


def test_threads_may_read_at_the_same_time(telemetry, gateway):
    gateway.log([Request(at(number / 10)) for number in range(100)])
    seen: list[int] = []
    threads = [
        threading.Thread(target=lambda: seen.append(total(telemetry, 0, 60))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [100] * 4


def test_the_name_of_an_endpoint_is_a_value_and_no_sql(telemetry, home):
    name = "o'brien"
    folder = home / "endpoints" / name / "gateway"
    folder.mkdir(parents=True)
    (folder / "access.log").write_text(Request(at(1)).line())
    assert telemetry.read(name, at(0), at(60), at(-1))["v1"].requests == 1
