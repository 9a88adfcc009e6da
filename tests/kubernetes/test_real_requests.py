"""Whole releases on a real control plane, with real guards in the pods and real requests.

Only the machines are played: a kubelet that runs guards and model servers on this one, and a
gateway's proxy.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import story
from tests.eventually import eventually
from tests.gateway import Reply, call
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from tests.kubernetes.node import KUBELET, Node
from tests.kubernetes.proxy import Proxy
from tests.kubernetes.site import EXAMPLES, QUICK
from weir.document import Outcome
from weir.endpoint import Split
from weir.kubernetes.connection import connect
from weir.kubernetes.kinds import DEPLOYMENT, POD, ROUTE, Kind
from weir.kubernetes.names import VERSION
from weir.kubernetes.platform import kubernetes_platform
from weir.kubernetes.route_manifests import split_of
from weir.local.models import LocalModels
from weir.local.traffic import TrafficPlan
from weir.local.traffic_counts import TrafficCounts, read_counts
from weir.ports import Platform
from weir.release import removing
from weir.spec.load import load_release

pytestmark = pytest.mark.kubernetes

RATE = 120.0
PROPAGATION_SECONDS = 0.5
NODE = Kind("v1", "Node", "nodes", namespaced=False)


@dataclass
class Real:
    """Endpoint fraud in a namespace of its own."""

    place: Place
    node: Node
    proxy: Proxy
    platform: Platform
    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    def release(self, version: str, replicas: int = 2, fails_every: int = 0, **options: Any) -> Any:
        """Release the example as ``version``, whose model server fails every so many requests."""
        content = yaml.safe_load((EXAMPLES / "release-v1.yaml").read_text())
        content["version_name"] = version
        content["inference"]["image"] = f"registry.example/fraud:{version}"
        if fails_every:
            fails = {"FAILS_EVERY": str(fails_every)}
            content["inference"]["environment_variables"] = fails
        content["deployment"] = {
            "num_replicas": replicas,
            "cpu_cores": 0.1,
            "memory_gb": 0.1,
            "replica_max_concurrent_requests": 4,
            "scoring_timeout_ms": 1000,
        }
        content["check"]["samples"] = str(EXAMPLES / "samples.ndjson")
        content["rollout"] = dict(QUICK)
        path = self.folder / f"{version}.yaml"
        path.write_text(json.dumps(content))
        return story.release(self.platform, load_release(path), **options)

    def begin(self, version: str, **options: Any) -> None:
        """A first release, or one without a rollout, that has to succeed."""
        past = self.release(version, **options)
        assert past.outcome in (Outcome.PROMOTED, Outcome.DEPLOYED), (past, self.proxy.own)

    def call(self, key: str | None = "", version: str = "", **body: object) -> Reply:
        headers = {"x-weir-version": version} if version else {}
        return call(self.proxy.port, self.key() if key == "" else key, headers, **body)

    def key(self) -> str:
        return self.platform.traffic.keys("fraud").primary

    def shift(self, **percentiles: float) -> datetime:
        """A person's split, past any release."""
        endpoint = self.platform.state.read("fraud").endpoint
        return self.platform.traffic.apply(endpoint.with_split(Split.of(percentiles)))

    def split(self) -> str:
        found = self.place.admin.get(ROUTE, "fraud")
        return str(split_of("fraud", found))

    def reasons(self) -> set[str]:
        """What istiod says of the route now."""
        found = self.place.admin.get(ROUTE, "fraud")
        return {
            condition["reason"]
            for parent in found.get("status", {}).get("parents") or ()
            for condition in parent["conditions"]
        }

    @contextmanager
    def naming(self, version: str) -> Iterator[Naming]:
        """A caller who names ``version``, one request after the other, until the block ends."""
        with ThreadPoolExecutor(2) as pool:
            naming = Naming(self, version, pool)
            pool.submit(naming.run)
            try:
                yield naming
            finally:
                naming.over.set()

    @contextmanager
    def callers(self, key: str = "", rate: float = RATE) -> Iterator[Callers]:
        """A process that sends scoring requests with ``key`` until the block ends."""
        folder = self.folder / f"callers-{next(self._numbers)}"
        folder.mkdir()
        (folder / "key").write_text(key or self.key())
        (folder / "key").chmod(0o600)
        rows = [json.dumps({"n": number}) for number in range(1, 101)]
        random.Random(2).shuffle(rows)
        (folder / "rows").write_text("\n".join(rows))
        plan = TrafficPlan(
            uri=f"http://127.0.0.1:{self.proxy.port}/score",
            requests=folder / "rows",
            counters=folder / "counts",
            key_file=folder / "key",
            rate=rate,
            duration_seconds=120,
        )
        process = subprocess.Popen(plan.command())
        callers = Callers(folder / "counts", process)
        try:
            callers.more(20)
            yield callers
        finally:
            callers.stop()


@dataclass
class Naming:
    """``reasons`` is what the gateway's controller said of the route meanwhile."""

    real: Real
    version: str
    pool: ThreadPoolExecutor
    replies: list[Reply] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        key = self.real.key()
        while not self.over.is_set():
            self.replies.append(self.real.call(key, self.version))
            self.reasons |= self.real.reasons()

    def slow_one(self, milliseconds: int) -> Future[Reply]:
        """A request that is under way when this returns."""
        found = self.pool.submit(self.real.call, version=self.version, sleep_ms=milliseconds)
        before = len(self.replies)
        eventually(lambda: len(self.replies) > before + 1)
        return found


@dataclass
class Callers:
    path: Path
    process: subprocess.Popen[bytes]

    def counts(self) -> TrafficCounts:
        return read_counts(self.path) or TrafficCounts("", "")

    def more(self, requests: int) -> None:
        """Wait until so many more have been answered."""
        before = self.counts().requests
        eventually(lambda: self.counts().requests >= before + requests, 30)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Real]:
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy().listening())
        place = stack.enter_context(
            at_hand.place(
                gateway_port=proxy.port,
                gateway_annotations={"weir.test/address": "127.0.0.1"},
                node_selector={KUBELET: "test"},
                propagation_seconds=PROPAGATION_SECONDS,
            )
        )
        nodes, _ = place.admin.list(NODE, {KUBELET: "test"})
        if not nodes:
            pytest.skip("no node leaves its pods to a test; make cluster has some")
        node = Node(place, tmp_path)
        stack.enter_context(node.running())
        stack.enter_context(proxy.following(place, node))
        platform = kubernetes_platform(
            connect(place.access), place.settings, LocalModels(tmp_path / "home"), tmp_path / "c"
        )
        yield Real(place, node, proxy, platform, tmp_path)
        assert node.errors == []


def test_a_good_version_is_promoted_a_bad_one_goes_back_and_nothing_else_fails(real: Real) -> None:
    real.begin("v1")
    with real.callers() as callers:
        good = real.release("v2")
        assert good.outcome is Outcome.PROMOTED, good
        assert real.split() == "v2 100 %"
        callers.more(100)
        before = callers.counts()
        assert before.failed == 0, (before.samples, real.proxy.own)
        assert before.version("v2").requests > 100

        bad = real.release("v3", fails_every=3)
        assert bad.outcome is Outcome.ROLLED_BACK, bad
        assert real.split() == "v2 100 %"
        callers.more(100)
    counts = callers.counts()
    assert counts.causes.keys() == {"model_error"}, (counts.samples, real.proxy.own)
    assert counts.version("v3").causes.keys() == {"model_error"}
    assert counts.version("v3").failed == counts.failed
    assert real.proxy.own == {}

    # The evidence was what callers saw, but for what came after the last window.
    windows = real.platform.windows.read("fraud", bad.id)
    judged = [window.versions["v3"] for window in windows if "v3" in window.versions]
    requests, failures = (
        sum(getattr(one, of) for one in judged) for of in ("requests", "failures")
    )
    assert 0 < failures <= counts.version("v3").failed
    assert failures < requests <= counts.version("v3").requests


def test_a_first_version_that_fails_its_check_leaves_a_route_that_names_nothing(
    real: Real,
) -> None:
    failed = real.release("v1", fails_every=1)
    assert failed.outcome is Outcome.FAILED
    assert failed.reason == "check.failed"
    assert real.platform.workloads.versions("fraud") == ()
    assert real.platform.traffic.trouble("fraud") == ""
    real.begin("v2")
    assert real.call().version == "v2"


def test_guards_log_what_callers_saw_and_the_window_counts_it(real: Real) -> None:
    real.begin("v1")
    real.begin("v2", deploy_only=True)
    assert real.split() == "v1 100 %"
    forced = [real.call(version="v2") for _ in range(20)]
    assert {(reply.status, reply.version) for reply in forced} == {(200, "v2")}
    refused = [real.call(key=None), real.call(key="wrong"), real.call(key=None, version="v2")]
    assert [reply.status for reply in refused] == [401, 401, 401]
    assert {reply.code for reply in refused} == {"gateway.key_missing_or_wrong"}

    since = real.shift(v1=50, v2=50)
    with real.callers() as callers:
        callers.more(300)
        forced_now = [real.call(version="v2") for _ in range(10)]
    counts = callers.counts()
    until = datetime.now(UTC)
    assert counts.failed == 0, (counts.samples, real.proxy.own)
    assert {reply.version for reply in forced_now} == {"v2"}
    answered = {name: one.requests for name, one in counts.versions.items()}
    assert answered.keys() == {"v1", "v2"}

    def in_window() -> dict[str, int]:
        found = real.platform.telemetry.read("fraud", since, until, since)
        return {name: one.requests for name, one in found.items()}

    eventually(lambda: sum(in_window().values()) >= counts.requests)
    assert in_window() == answered

    lines = {
        version: [
            json.loads(line) for pod in real.node.pods(version) for line in real.node.log(pod.name)
        ]
        for version in ("v1", "v2")
    }
    for version, logged in lines.items():
        # The guard itself says which version it stands before; a refused caller reached none.
        assert {line["version"] for line in logged if line["code"] != 401} == {version}
    named = [line for line in lines["v2"] if line["forced"] == "v2" and line["code"] == 200]
    samples = len((EXAMPLES / "samples.ndjson").read_text().splitlines())
    assert len(named) == samples + len(forced) + len(forced_now)
    codes = Counter(line["code"] for logged in lines.values() for line in logged)
    assert codes[401] == len(refused)


def test_a_rotated_key_is_refused_soon_and_the_other_one_never(real: Real) -> None:
    real.begin("v1", replicas=3)
    keys = real.platform.traffic.keys("fraud")
    with (
        real.callers(keys.primary, RATE / 2) as old,
        real.callers(keys.secondary, RATE / 2) as other,
    ):
        changed = real.platform.traffic.rotate_key("fraud", "primary")
        assert changed.secondary == keys.secondary

        def all_say(key: str, status: int) -> bool:
            return all(real.call(key=key).status == status for _ in range(20))

        eventually(lambda: all_say(keys.primary, 401) and all_say(changed.primary, 200), 10)
        other.more(50)
        before = old.counts()
        old.more(20)
        after = old.counts()
    assert before.causes.keys() == {"rejected"}
    assert after.statuses["401"] - before.statuses["401"] == after.requests - before.requests
    assert other.counts().failed == 0, (other.counts().samples, real.proxy.own)


def test_scaling_down_loses_no_request(real: Real) -> None:
    real.begin("v1", replicas=4)
    with real.callers() as callers:
        real.place.admin.patch(DEPLOYMENT, "fraud--v1", {"spec": {"replicas": 1}})
        eventually(lambda: len(real.node.pods("v1")) == 1)
        callers.more(50)
        real.place.admin.patch(DEPLOYMENT, "fraud--v1", {"spec": {"replicas": 3}})
        eventually(lambda: real.platform.workloads.status("fraud", "v1").ready() == 3)
        callers.more(50)
    assert callers.counts().failed == 0, (callers.counts().samples, real.proxy.own)


def test_a_version_that_had_traffic_goes_and_no_request_is_lost(real: Real) -> None:
    real.begin("v1")
    real.begin("v2", deploy_only=True)
    with real.callers() as callers:
        real.shift(v1=50, v2=50)
        callers.more(100)
        real.shift(v1=100)
        with real.naming("v2") as named:
            eventually(lambda: len(named.replies) > 2)
            slow = named.slow_one(900)
            removing.remove_version(real.platform, "fraud", "v2")
            callers.more(50)
    assert callers.counts().failed == 0, (callers.counts().samples, real.proxy.own)
    assert callers.counts().version("v2").requests > 30
    # Who names it is served until it is withdrawn, and then told so, by a guard.
    assert slow.result().status == 200
    statuses = [reply.status for reply in named.replies]
    assert statuses == sorted(statuses)
    assert set(statuses) == {200, 404}
    assert named.replies[-1].code == "gateway.version_unknown"
    assert real.proxy.own == {}
    assert named.reasons <= {"Accepted", "ResolvedRefs"}
    assert real.place.admin.list(POD, {VERSION: "v2"})[0] == []
