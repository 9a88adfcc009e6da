"""What a release writes into its record of windows is enough to make its decisions again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.world import World, world
from tests.story import loaded, release
from weir.decision import Decision
from weir.document import EndpointDocument, OperatorAction
from weir.endpoint import Endpoint, Split
from weir.happening import What
from weir.holding import this_process
from weir.release import operator, steps
from weir.release.beginning import begin, take_over
from weir.release.ledger import Ledger
from weir.release.observing import observe
from weir.replay import replay
from weir.spec.load import Loaded
from weir.spec.rollout import RolloutPolicy
from weir.window import Window

MOST_LOOKS = 80


@dataclass
class Weather:
    """How late things come, and how often somebody or something meddles; each a chance a look."""

    chance: random.Random
    acknowledged_after_seconds: float = 0.0
    oversleeps_seconds: float = 0.0
    pauses: float = 0.0
    outages: float = 0.0
    silence: float = 0.0
    hands: float = 0.0
    takeovers: float = 0.0
    looks_at_once: float = 0.0

    def comes(self, chance: float) -> bool:
        return self.chance.random() < chance

    def some(self, most: float) -> float:
        return self.chance.random() * most if most else 0.0


@dataclass
class Rough:
    """A world in that weather, in which one version is released."""

    weather: Weather
    there: World = field(default_factory=world)

    def __post_init__(self) -> None:
        release(self.there.platform, loaded("v1"))
        traffic, clock, weather = self.there.traffic, self.there.clock, self.weather
        apply, sleep = traffic.apply, clock.sleep

        def late(endpoint: Endpoint, revision: int = 0) -> datetime:
            sleep(weather.some(weather.acknowledged_after_seconds))
            return apply(endpoint, revision)

        def long(seconds: float) -> None:
            sleep(seconds + weather.some(weather.oversleeps_seconds))

        vars(traffic)["apply"], vars(clock)["sleep"] = late, long

    def drive(self, wanted: Loaded) -> tuple[dict[int, Decision], list[Window]]:
        """The decisions at windows, by id, and the record."""
        platform = self.there.platform
        ledger = begin(platform, wanted, this_process("", platform.clock.now())).ledger
        assert ledger is not None
        for step in (steps.provision, steps.build, steps.deploy, steps.await_ready):
            step(platform, ledger)
        self.there.clock.sleep(self.weather.some(30))
        steps.start_rollout(platform, ledger)
        made: dict[int, Decision] = {}
        for _ in range(MOST_LOOKS):
            if ledger.release().ending is not None:
                break
            ledger = self._meddle(ledger)
            before = ledger.release().last_window
            decision = observe(platform, ledger)
            seen = ledger.release().last_window
            if seen is not None and seen != before:
                made[seen.id] = decision
            if not self.weather.comes(self.weather.looks_at_once):
                steps.apply_split(platform, ledger)
        steps.flush_window(platform, ledger)
        return made, _through_a_file(self.there, ledger.release().id)

    def _meddle(self, ledger: Ledger) -> Ledger:
        weather, there = self.weather, self.there
        there.telemetry.unavailable = weather.comes(weather.outages)
        there.telemetry.silent = weather.comes(weather.silence)
        there.telemetry.requests_per_second = weather.chance.choice([3, 30, 300])
        if weather.comes(weather.pauses):
            action = weather.chance.choice([OperatorAction.PAUSE, OperatorAction.RESUME])
            operator.ask(there.platform, "fraud", action, "ada")
        if weather.comes(weather.hands):
            document = ledger.read()
            moved = document.endpoint.with_split(Split.everything_to("v1"))
            there.traffic.apply(moved)
        if weather.comes(weather.takeovers):
            steps.stand_back(there.platform, ledger)
            holder = this_process("", there.clock.now())
            unpause = weather.comes(0.5)
            return take_over(there.platform, "fraud", holder, unpause=unpause)
        return ledger


def _through_a_file(there: World, release_id: str) -> list[Window]:
    written = there.windows.read("fraud", release_id)
    lines = [window.model_dump_json() for window in written]
    return [Window.model_validate_json(line, strict=True) for line in lines]


def _replayed(policy: RolloutPolicy, record: list[Window]) -> dict[int, dict[str, Any]]:
    return {one.id: one.decision.model_dump() for one in replay(policy, record, "v1")}


def assert_bit_for_bit(rough: Rough, wanted: Loaded) -> dict[int, Decision]:
    made, record = rough.drive(wanted)
    assert [window.id for window in record] == list(made)
    replayed = _replayed(wanted.spec.rollout, record)
    assert replayed == {number: decision.model_dump() for number, decision in made.items()}
    return made


WEATHERS: dict[str, dict[str, float]] = {
    "acknowledgements come late": {"acknowledged_after_seconds": 40},
    "the clock oversleeps": {"oversleeps_seconds": 7},
    "telemetry is out": {"outages": 0.3},
    "callers are silent": {"silence": 0.3},
    "people pause and resume": {"pauses": 0.4},
    "hands change the gateway": {"hands": 0.3, "acknowledged_after_seconds": 9},
    "others take over": {"takeovers": 0.2, "acknowledged_after_seconds": 9},
    "everything at once": {
        "acknowledged_after_seconds": 20,
        "oversleeps_seconds": 3,
        "pauses": 0.2,
        "outages": 0.1,
        "silence": 0.1,
        "hands": 0.1,
        "takeovers": 0.1,
        "looks_at_once": 0.3,
    },
}

POLICIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "slow": {"minimum_step_seconds": 31, "soak_seconds": 47, "minimum_requests": 900},
    "impatient": {"maximum_wait_seconds": 33, "deadline_seconds": 90},
    "strict": {"maximum_wait_seconds": 60, "on_inconclusive": "rollback", "soak_seconds": 20},
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("weather", WEATHERS)
def test_a_replay_makes_the_same_decisions_bit_for_bit_when(weather: str, policy: str) -> None:
    made = {}
    for seed in range(3):
        rough = Rough(Weather(random.Random(seed), **WEATHERS[weather]))
        rough.there.telemetry.failing.update({"v1": 0.01, "v2": [0.01, 0.012, 0.03][seed]})
        made.update(assert_bit_for_bit(rough, loaded("v2", **POLICIES[policy])))
    assert made


@pytest.mark.parametrize("kind", What)
def test_a_record_without_what_happened_between_its_windows_would_not_be_enough(
    kind: What,
) -> None:
    wanted, differ = loaded("v2", **POLICIES["slow"]), []
    for seed in range(6):
        rough = Rough(Weather(random.Random(seed), **WEATHERS["everything at once"]))
        made, record = rough.drive(wanted)
        without = [
            window.model_copy(
                update={"happened": tuple(one for one in window.happened if one.what is not kind)}
            )
            for window in record
        ]
        told = {number: decision.model_dump() for number, decision in made.items()}
        differ.append(_replayed(wanted.spec.rollout, without) != told)
    assert any(differ)


def test_acknowledgements_without_a_window_do_not_pile_up() -> None:
    rough = Rough(Weather(random.Random(1), outages=1, hands=1))
    rough.drive(loaded("v2"))
    (release_id,) = {document.release.id for document in _documents(rough) if document.release}
    assert rough.there.windows.read("fraud", release_id) == ()
    (state,) = [document.release.rollout for document in _documents(rough) if document.release]
    assert state is not None
    assert [one.what for one in state.happened] == [What.BEGUN, What.LOOKED, What.APPLIED]


def _documents(rough: Rough) -> list[EndpointDocument]:
    return list(rough.there.state.documents.values())


seconds = st.floats(0, 60)
chances = st.floats(0, 0.5)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    weather=st.fixed_dictionaries(
        {
            "acknowledged_after_seconds": seconds,
            "oversleeps_seconds": st.floats(0, 10),
            "pauses": chances,
            "outages": chances,
            "silence": chances,
            "hands": chances,
            "takeovers": st.floats(0, 0.2),
            "looks_at_once": chances,
        }
    ),
    policy=st.fixed_dictionaries(
        {
            "steps": st.sampled_from([(5, 100), (5, 50, 100), (5, 25, 50, 100)]),
            "minimum_requests": st.integers(0, 2_000),
            "minimum_step_seconds": st.floats(0, 90),
            "soak_seconds": st.floats(0, 90),
            "maximum_wait_seconds": st.floats(1, 600),
            "deadline_seconds": st.floats(400, 3_000),
            "on_inconclusive": st.sampled_from(["hold", "rollback"]),
        }
    ),
    failing=st.sampled_from([0.0, 0.01, 0.02, 0.2]),
)
def test_whatever_comes_late_or_between_a_replay_makes_the_same_decisions(
    seed: int, weather: dict[str, float], policy: dict[str, Any], failing: float
) -> None:
    rough = Rough(Weather(random.Random(seed), **weather))
    rough.there.telemetry.failing.update({"v1": 0.01, "v2": failing})
    assert_bit_for_bit(rough, loaded("v2", **policy))
