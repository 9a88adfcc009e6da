from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tests.unit.local.answering import Asked, Reply, answering
from weir.endpoint import Endpoint
from weir.errors import PermanentError, TemporaryError
from weir.ports import CheckReport, Keys
from weir.scoring import LONGEST_BODY, GatewayScorer, score_samples

KEY = "a-key-nobody-may-see"


class Gateway:
    """Knows the address and the keys of one endpoint, ``fraud``."""

    def __init__(self, uri: str | None) -> None:
        self._uris = {"fraud": uri}
        self._keys = {"fraud": Keys(primary=KEY, secondary="another")}

    def scoring_uri(self, endpoint: str) -> str | None:
        return self._uris[endpoint]

    def keys(self, endpoint: str) -> Keys:
        return self._keys[endpoint]


def samples(folder: Path, *lines: str) -> Path:
    path = folder / "samples.ndjson"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def score(uri: str | None, path: Path, *, auth_enabled: bool = True) -> CheckReport:
    endpoint = Endpoint(name="fraud", auth_enabled=auth_enabled)
    return GatewayScorer(Gateway(uri)).score(endpoint, "v2", path)


def v2(*_: object) -> Reply:
    return Reply(version="v2")


def test_every_sample_is_sent_once_with_the_version_forced_and_the_key(tmp_path: Path) -> None:
    with answering(v2) as server:
        report = score(server.uri, samples(tmp_path, '{"data": [1]}', "", '{"data": [2]}'))
    assert (report.samples, report.failed, report.first_failure) == (2, 0, "")
    assert report.slowest_ms > 0
    assert [asked.body for asked in server.asked] == [b'{"data": [1]}', b'{"data": [2]}']
    assert {asked.headers["x-weir-version"] for asked in server.asked} == {"v2"}
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}


def test_an_endpoint_without_authentication_gets_no_key(tmp_path: Path) -> None:
    with answering(v2) as server:
        score(server.uri, samples(tmp_path, "{}"), auth_enabled=False)
    assert "authorization" not in server.asked[0].headers


def test_the_first_failure_is_quoted_and_all_are_counted(tmp_path: Path) -> None:
    def reply(_: Asked, number: int) -> Reply:
        return v2() if number == 0 else Reply(500, f"trace {number} ".encode() * 100, "v2")

    with answering(reply) as server:
        report = score(server.uri, samples(tmp_path, "1", "2", "3"))
    assert (report.samples, report.failed) == (3, 2)
    assert report.first_failure.startswith("500: trace 1 trace 1")
    assert len(report.first_failure) == len("500: ") + LONGEST_BODY


def test_an_answer_of_another_version_is_a_failure(tmp_path: Path) -> None:
    with answering(lambda *_: Reply(version="v1")) as server:
        report = score(server.uri, samples(tmp_path, "1"))
    assert (report.failed, report.first_failure) == (1, "200, but from version v1")
    assert report.unanswered == 0


def test_a_redirect_is_a_failure_and_not_followed(tmp_path: Path) -> None:
    with answering(lambda *_: Reply(302, b"", headers={"Location": "/other"})) as server:
        assert score(server.uri, samples(tmp_path, "1")).failed == 1
    assert len(server.asked) == 1


def test_a_gateway_that_has_not_heard_of_the_version_yet_is_asked_again(tmp_path: Path) -> None:
    def reply(_: Asked, number: int) -> Reply:
        if number == 0:
            return Reply(404, b'{"error": {"code": "gateway.version_unknown"}}')
        return Reply(version="v2")

    with answering(reply) as server:
        report = score(server.uri, samples(tmp_path, "1", "2"))
    assert (report.samples, report.failed, len(server.asked)) == (2, 0, 3)


def test_no_connection_is_a_failure_that_does_not_show_the_key(tmp_path: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{unheard.getsockname()[1]}/score"
        report = score(uri, samples(tmp_path, "1"))
    assert (report.failed, report.first_failure) == (1, f"no answer from {uri}: ConnectionError")
    assert report.unanswered == 1


def test_silence_is_a_failure_after_the_time_given() -> None:
    held_back = threading.Event()
    with answering(lambda *_: Reply(wait=held_back)) as server:
        report = score_samples(server.uri, {}, iter([b"1"]), timeout_seconds=0.1)
        held_back.set()
    assert report.first_failure == f"no answer from {server.uri} within 0.1 seconds"
    assert report.unanswered == 1


def test_without_a_gateway_scoring_may_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError, match=r"check\.no_gateway"):
        score(None, samples(tmp_path, "1"))


def test_samples_that_are_gone_are_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"gone\.ndjson: .*check\.no_samples"):
        score("http://127.0.0.1:1/score", tmp_path / "gone.ndjson")
