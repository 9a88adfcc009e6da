import math

from pydantic import TypeAdapter

from weir.evidence.counting import counted
from weir.evidence.guardrail import Evidence, Names, Verdict
from weir.evidence.rates import Ceiling, Rate
from weir.spec.guardrails import CeilingGuardrail, FailuresGuardrail
from weir.spec.rollout import COUNTED_BY_DEFAULT, Dispersion, FailureClass
from weir.window import Histogram, VersionCounts

STORED = TypeAdapter(Evidence)
NAMES = Names(control="v1", treatment="v3")


def arm(requests: int, failures: int = 0) -> VersionCounts:
    return VersionCounts(requests=requests, failures=failures)


def rate(steps: int = 3) -> Rate:
    return Rate.of(FailuresGuardrail(), steps, Dispersion.NONE)


def test_the_policy_chooses_which_classes_are_failures() -> None:
    raw = VersionCounts(
        requests=100, failures_by_class={"server_error": 3, "timeout": 2, "client_error": 40}
    )
    assert counted(raw, COUNTED_BY_DEFAULT).failures == 5
    assert counted(raw, (FailureClass.CLIENT_ERROR,)).failures == 40
    assert counted(raw, COUNTED_BY_DEFAULT).requests == 100


def test_counts_without_classes_keep_their_failures() -> None:
    assert counted(arm(10, 4), COUNTED_BY_DEFAULT).failures == 4


def test_an_empty_window_changes_nothing() -> None:
    guardrail = rate()
    seen = guardrail.update(guardrail.start(), arm(500, 4), arm(30, 1), 0)
    assert guardrail.update(seen, arm(0), arm(0), 0) == seen


def test_earlier_gates_are_proven_with_fewer_clean_requests() -> None:
    guardrail = rate()
    needed = {}
    for gate in range(3):
        evidence, requests = guardrail.start(), 0
        while guardrail.log_e_safe(evidence, gate) < math.log(20):
            evidence = guardrail.update(evidence, arm(190), arm(10), gate)
            requests += 10
        needed[gate] = requests
    assert needed[0] < 400 < needed[1] < 900 < needed[2] < 2600


def test_a_failing_version_is_never_safe_while_it_is_harmful() -> None:
    guardrail = rate()
    evidence = guardrail.update(guardrail.start(), arm(4066, 37), arm(214, 17), 0)
    assert guardrail.log_e_harm(evidence) > math.log(20)
    assert all(guardrail.log_e_safe(evidence, gate) < 0 for gate in (0, 2))


def test_a_failure_is_explained_in_words_and_numbers() -> None:
    guardrail = rate()
    evidence = guardrail.update(guardrail.start(), arm(4066, 37), arm(214, 17), 0)
    said = guardrail.explain(evidence, Verdict.FAIL, 0, NAMES)
    assert said.startswith(
        "v3 fails 7.9 % of 214 requests, v1 0.91 % of 4,066;"
        " a ratio of at most 1.25 plus 0.2 points is ruled out at 1 in "
    )


def test_a_pass_and_a_wait_name_the_gate() -> None:
    guardrail = rate()
    evidence = guardrail.update(guardrail.start(), arm(4000), arm(400), 0)
    assert "a ratio of 4 plus 1.2 points or more is ruled out at 1 in" in guardrail.explain(
        evidence, Verdict.PASS, 0, NAMES
    )
    assert "a ratio of 1.5 plus 0.2 points or more is not ruled out yet" in guardrail.explain(
        evidence, Verdict.INSUFFICIENT, 2, NAMES
    )


def test_evidence_goes_through_json_unchanged() -> None:
    guardrail = rate()
    evidence = guardrail.update(guardrail.start(), arm(4066, 37), arm(214, 17), 0)
    assert STORED.validate_json(STORED.dump_json(evidence)) == evidence


def test_a_ceiling_of_slow_counts_a_threshold_inside_a_bucket_against_the_claim() -> None:
    spec = CeilingGuardrail(of="slow", threshold_ms=100, at_most=0.1)
    guardrail = Ceiling.of(spec, 1, Dispersion.NONE)
    # Bucket 26 of scale 2 holds 90.5 to 107.6 ms: nobody knows on which side of 100 ms they are.
    doubtful = VersionCounts(requests=500, latency_ms=Histogram(scale=2, counts={26: 500}))
    evidence = guardrail.update(guardrail.start(), doubtful, doubtful, 0)
    assert guardrail.log_e_harm(evidence) < 0
    assert guardrail.log_e_safe(evidence, 0) < 0
