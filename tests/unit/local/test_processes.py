from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from weir.errors import TemporaryError
from weir.local import pids
from weir.local.home import Home
from weir.local.processes import Probe, ProcessSpec, ProcessStatus, ProcessTable

SPEC = ProcessSpec("fraud.v1.0", ("server", "{port}"), needs_port=True, readiness=Probe("http"))


@pytest.fixture
def table(tmp_path: Path) -> ProcessTable:
    return ProcessTable(tmp_path)


def seen(table: ProcessTable, **changes: object) -> None:
    status = ProcessStatus(
        SPEC.name,
        "ready",
        pid=os.getpid(),
        process_started_at=pids.started_at(os.getpid()),
        port=20_001,
        spec=SPEC.digest(),
    )
    text = replace(status, **changes).to_json()
    Home(table.home.root).process_status(SPEC.name).write_text(text)


def test_a_process_of_an_earlier_boot_does_not_run(table: ProcessTable) -> None:
    table.put(SPEC)
    seen(table, boot="another")
    status = table.status(SPEC.name)
    assert status is not None
    assert (status.state, status.message) == ("unready", "the process has ended")


def test_a_spec_survives_its_file(table: ProcessTable) -> None:
    table.put(SPEC)
    assert table.spec(SPEC.name) == SPEC


def test_an_unchanged_spec_is_not_written_again(table: ProcessTable) -> None:
    assert table.put(SPEC)
    assert not table.put(SPEC)
    assert table.put(replace(SPEC, grace_seconds=1))


def test_a_name_that_leaves_the_folder_is_refused(table: ProcessTable) -> None:
    with pytest.raises(ValueError, match="process name"):
        table.put(replace(SPEC, name="../escape"))


def test_what_nobody_asked_for_has_no_status(table: ProcessTable) -> None:
    assert table.status("fraud.v1.0") is None


def test_what_the_supervisor_has_not_seen_is_starting(table: ProcessTable) -> None:
    table.put(SPEC)
    status = table.status(SPEC.name)
    assert status is not None
    assert status.state == "starting"


def test_a_ready_process_is_ready_with_its_address(table: ProcessTable) -> None:
    table.put(SPEC)
    seen(table)
    status = table.status(SPEC.name)
    assert status is not None
    assert (status.state, status.address) == ("ready", "127.0.0.1:20001")


def test_a_process_of_an_older_spec_does_not_count_as_ready(table: ProcessTable) -> None:
    table.put(replace(SPEC, argv=("other",)))
    seen(table)
    status = table.status(SPEC.name)
    assert status is not None
    assert status.state == "starting"


def test_a_pid_given_to_another_process_does_not_count_as_ready(table: ProcessTable) -> None:
    table.put(SPEC)
    seen(table, process_started_at=1.0)
    status = table.status(SPEC.name)
    assert status is not None
    assert status.state == "unready"


def test_a_removed_process_is_stopping_until_it_is_forgotten(table: ProcessTable) -> None:
    table.put(SPEC)
    seen(table)
    table.remove(SPEC.name)
    status = table.status(SPEC.name)
    assert status is not None
    assert status.state == "stopping"
    assert table.names() == (SPEC.name,)
    with pytest.raises(TemporaryError) as raised:
        table.wait_gone(SPEC.name, 0.0)
    assert raised.value.reason == "process.not_gone"


def test_names_are_those_with_the_prefix(table: ProcessTable) -> None:
    for name in ("fraud.v1.0", "fraud.v10.0", "fraud.gateway"):
        table.put(replace(SPEC, name=name))
    assert table.names("fraud.v1.") == ("fraud.v1.0",)


def test_an_unreadable_spec_is_no_spec(table: ProcessTable) -> None:
    table.home.process_spec("a").write_text('{"name": "a"')
    assert table.spec("a") is None
