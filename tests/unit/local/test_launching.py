from __future__ import annotations

import socket
from pathlib import Path

import pytest

from weir.local.home import Home
from weir.local.launching import PORTS, environment, free_port, is_free
from weir.local.processes import ProcessSpec
from weir.local.server import ServerAddress, server_spec, worker_spec
from weir.local.supervised import LONGEST_BACKOFF_SECONDS, backoff_seconds, describe_exit

SPEC = ProcessSpec("a", ("server",), env={"URL": "http://127.0.0.1:{port}/", "PATH": "/own"})


def test_package_index_settings_reach_only_a_process_that_builds() -> None:
    inherited = {"UV_DEFAULT_INDEX": "u", "PIP_INDEX_URL": "p", "UV_PUBLISH_TOKEN": "s"}
    worker = worker_spec(Home(Path("/nowhere")), ServerAddress(4200))
    seen = environment(worker, None, inherited)
    assert (seen["UV_DEFAULT_INDEX"], seen["PIP_INDEX_URL"]) == ("u", "p")
    assert "UV_PUBLISH_TOKEN" not in seen
    assert "u" not in worker.env.values()
    assert not inherited.keys() & environment(SPEC, 4200, inherited).keys()


def test_the_kubeconfig_reaches_only_a_process_that_releases() -> None:
    inherited = {"KUBECONFIG": "/somewhere/config", "KUBECONFIG_PASSWORD": "s"}
    worker = worker_spec(Home(Path("/nowhere")), ServerAddress(4200))
    seen = environment(worker, None, inherited)
    assert seen["KUBECONFIG"] == "/somewhere/config"
    assert "KUBECONFIG_PASSWORD" not in seen
    assert "KUBECONFIG" not in environment(SPEC, 4200, inherited)


def test_only_the_servers_own_pages_may_read_it() -> None:
    seen = environment(server_spec(Home(Path("/nowhere")), 4217), 4217, {})
    assert seen["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"].split(",") == [
        "http://127.0.0.1:4217",
        "http://localhost:4217",
    ]


def test_secrets_of_the_starting_command_are_not_inherited() -> None:
    inherited = {"AWS_SECRET_ACCESS_KEY": "s", "LANG": "C.UTF-8", "https_proxy": "p"}
    assert environment(SPEC, 4200, inherited) == {
        "LANG": "C.UTF-8",
        "https_proxy": "p",
        "PORT": "4200",
        "URL": "http://127.0.0.1:4200/",
        "PATH": "/own",
    }


def test_a_process_without_a_port_keeps_its_braces() -> None:
    assert environment(SPEC, None, {})["URL"] == "http://127.0.0.1:{port}/"


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_a_port_is_kept_while_it_is_free() -> None:
    kept = free_port(())
    assert free_port((kept,), kept=kept) == kept


def test_a_kept_port_that_is_taken_is_changed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert free_port((), kept=server.getsockname()[1]) in PORTS


def test_ports_of_other_processes_are_avoided() -> None:
    free = free_port(())
    with pytest.raises(OSError, match="no free port"):
        free_port({free}, candidates=[free])


def test_pauses_double_from_half_a_second_to_half_a_minute() -> None:
    assert [backoff_seconds(exits) for exits in range(1, 5)] == [0.5, 1, 2, 4]
    assert backoff_seconds(500) == LONGEST_BACKOFF_SECONDS == 30


@pytest.mark.parametrize(("code", "words"), [(3, "exited with code 3"), (-9, "killed by signal 9")])
def test_an_exit_is_put_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words
