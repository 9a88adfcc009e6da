from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.builders import endpoint
from weir.cli.main import app
from weir.document import EndpointDocument
from weir.errors import UserError
from weir.local.state import LocalState


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEIR_HOME", str(tmp_path))
    for name in ("churn", "fraud"):
        built = endpoint(name).control("v1").build()
        LocalState(tmp_path).write(EndpointDocument(endpoint=built))
    return tmp_path


def test_a_state_that_cannot_be_read_is_shown_and_hides_no_other(home: Path) -> None:
    (home / "endpoints" / "churn" / "state.json").write_text("{")
    shown = CliRunner().invoke(app, ["status", "--json"])
    assert shown.exit_code == 0, shown.output
    churn, fraud = json.loads(shown.stdout)
    assert churn["endpoint"] == "churn"
    assert "state.corrupt" in churn["error"]
    assert fraud["versions"][0]["name"] == "v1"
    assert "state.corrupt" in CliRunner().invoke(app, ["status"]).output


def test_a_name_that_is_a_path_is_refused(home: Path) -> None:
    result = CliRunner().invoke(app, ["status", "../churn"])
    assert isinstance(result.exception, UserError)
    assert result.exception.reason == "endpoint.bad_name"
