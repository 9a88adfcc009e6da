from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.workloads import FakeWorkloads
from weir.endpoint import Version
from weir.errors import VersionUnhealthy
from weir.ports import WorkloadStatus
from weir.readiness import first_cause, wait_until_ready
from weir.spec.deployment import Deployment
from weir.spec.inference import Inference

CHAINED = """starting
Traceback (most recent call last):
  File "score.py", line 2, in init
    raise RuntimeError("no such column")
RuntimeError: no such column

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "server.py", line 121, in invoke_init
server.UserScriptException: the user script failed
worker exits""".splitlines()


class FakeClock:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)
        self.begun = self.at

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def passed_seconds(self) -> float:
        return (self.at - self.begun).total_seconds()


def wait(workloads: FakeWorkloads, clock: FakeClock) -> WorkloadStatus:
    version = Version(
        name="v2",
        image="i",
        release="r",
        inference=Inference(command=("x",)),
        deployment=Deployment(num_replicas=2),
    )
    workloads.apply("fraud", version)
    return wait_until_ready(workloads, "fraud", "v2", timeout_seconds=60, clock=clock)


def test_waiting_ends_when_every_replica_is_ready() -> None:
    clock = FakeClock()
    assert wait(FakeWorkloads(ready_after=11), clock).ready() == 2
    assert clock.passed_seconds() == pytest.approx(2.0)


def test_a_crash_is_told_at_once_with_its_cause_and_last_lines() -> None:
    clock = FakeClock()
    with pytest.raises(VersionUnhealthy) as raised:
        wait(FakeWorkloads(broken={"v2": tuple(CHAINED)}), clock)
    assert raised.value.reason == "workload.crashed"
    assert "exited with code 3" in raised.value.message
    assert "Cause: RuntimeError: no such column." in raised.value.message
    assert "worker exits" in raised.value.message
    assert clock.passed_seconds() == 0


def test_who_keeps_the_logs_says_how_to_read_them() -> None:
    with pytest.raises(VersionUnhealthy) as raised:
        wait(FakeWorkloads(broken={"v2": ("no",)}), FakeClock())
    assert raised.value.remedy.endswith("; all output: weir logs fraud v2.")


class WithARemedy(FakeWorkloads):
    """As a cluster says it, whose logs go with the pods."""

    def status(self, endpoint: str, version: str) -> WorkloadStatus | None:
        found = super().status(endpoint, version)
        return found and replace(found, remedy="Correct the image and release again.")


def test_a_platform_with_a_remedy_of_its_own_sends_nobody_to_logs_that_will_be_gone() -> None:
    with pytest.raises(VersionUnhealthy) as raised:
        wait(WithARemedy(broken={"v2": ("no",)}), FakeClock())
    assert raised.value.remedy == "Correct the image and release again."


def test_what_a_log_says_steers_no_terminal_and_is_cut() -> None:
    lines = (
        "\x1b[31mTraceback (most recent call last):\x1b[0m",
        "\tFile 1",
        "\x1b[1mRuntimeError: \x1b]0;mine\x07\x9b2J\x1b[0m",
        "y" * 10_000,
    )
    with pytest.raises(VersionUnhealthy) as raised:
        wait(FakeWorkloads(broken={"v2": lines}), FakeClock())
    message = raised.value.message
    assert not any((ord(one) < 32 and one != "\n") or one in "\x7f\x9b" for one in message)
    assert "Cause: RuntimeError: ?]0;mine??2J." in message
    assert "\n        File 1\n" in message
    assert len(message) < 1000


def test_waiting_ends_after_the_time_given() -> None:
    clock = FakeClock()
    with pytest.raises(VersionUnhealthy) as raised:
        wait(FakeWorkloads(ready_after=10**9), clock)
    assert raised.value.reason == "workload.not_ready_in_time"
    assert "0 of 2 replicas" in raised.value.message
    assert "fraud.v2.1 starting" in raised.value.message
    assert clock.passed_seconds() == pytest.approx(60, abs=1)


def test_a_version_that_somebody_removed_is_not_waited_for() -> None:
    with pytest.raises(VersionUnhealthy) as raised:
        wait_until_ready(FakeWorkloads(), "fraud", "v2", timeout_seconds=60, clock=FakeClock())
    assert raised.value.reason == "workload.missing"


def test_the_cause_is_the_first_exception_of_the_last_chain() -> None:
    assert first_cause(["Traceback (most recent call last):", "OldError: x", *CHAINED]) == (
        "RuntimeError: no such column"
    )


def test_output_without_a_traceback_has_no_cause() -> None:
    assert first_cause(["listening", "Error is a word"]) == ""
