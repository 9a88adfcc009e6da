"""How Azure is asked: patience, words, and what never gets into them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from tests.azure.conftest import identity_at
from tests.azure.double import Double, Fault, Refuse, Reply, Request, route
from weir import __version__
from weir.azure.asking import Asking
from weir.azure.identity import Identity, SignIn, credential, token
from weir.azure.refusals import AzureBusy, AzureRefused, refusal
from weir.errors import PermanentError, TemporaryError, UserError, WeirError

VERSION = "2025-01-01"


class Things:
    """A service with one resource group."""

    @route("GET", "/things")
    def get(self, request: Request) -> Reply:
        return Reply(json={"version": request.query["api-version"]})

    @route("GET", "/signed", audience="")
    def signed(self, request: Request) -> Reply:
        return Reply(body=b"content" if request.query.get("sig") == "planted" else b"")

    @route("GET", "/forbidden")
    def forbidden(self, request: Request) -> Reply:
        raise Refuse(
            403,
            "AuthorizationFailed",
            "The client 'app' with object id 'abc-1' does not have authorization to perform action"
            " 'Microsoft.ContainerService/managedClusters/write' over scope"
            " '/subscriptions/s/resourceGroups/g' or the scope is invalid.",
        )


@pytest.fixture
def things(azure: Double) -> Double:
    azure.serve(Things())
    return azure


def get(asking: Asking) -> object:
    return asking.arm("GET", "/things", "read things", version=VERSION).json()


def test_every_request_says_who_asks_and_has_an_id(things: Double, asking: Asking) -> None:
    assert get(asking) == {"version": VERSION}
    (request,) = things.asked("GET", "/things")
    assert request.headers["user-agent"] == f"weir/{__version__}"
    assert re.fullmatch("[0-9a-f-]{36}", request.headers["x-ms-correlation-request-id"])


def test_a_token_is_asked_for_once(things: Double, asking: Asking) -> None:
    for _ in range(3):
        get(asking)
    assert len(things.asked("POST", "/token")) == 1
    assert f"weir/{__version__}" in things.asked("POST", "/token")[0].headers["user-agent"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_service_is_asked_again_after_what_it_says(
    things: Double, asking: Asking, slept: list[float], status: int
) -> None:
    things.fail("/things", status, "Busy", retry_after="7", times=2)
    assert get(asking) == {"version": VERSION}
    assert slept == [7, 7]
    ids = {one.headers["x-ms-correlation-request-id"] for one in things.asked("GET", "/things")}
    assert len(ids) == 1


def test_a_netrc_is_no_login_for_azure(
    things: Double, asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password planted\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert get(asking) == {"version": VERSION}
    asking.call("GET", f"{things.base}/signed?sig=planted", "read the log")
    assert "authorization" not in things.asked("GET", "/signed")[0].headers


def test_a_date_says_it_as_well(things: Double, asking: Asking, slept: list[float]) -> None:
    things.fail("/things", 429, "Busy", retry_after="Fri, 01 Jan 2100 00:00:00 GMT")
    with pytest.raises(AzureBusy):
        get(asking)
    assert slept == []


def test_a_connection_that_breaks_is_made_again(things: Double, asking: Asking) -> None:
    things.hang_up("/things", times=2)
    assert get(asking) == {"version": VERSION}


def test_an_answer_that_breaks_off_is_asked_for_again(things: Double, asking: Asking) -> None:
    things.faults.append(Fault("/things", Reply(200, body=b"{", headers={"content-length": "9"})))
    assert get(asking) == {"version": VERSION}
    assert len(things.asked("GET", "/things")) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412])
def test_another_refusal_is_never_asked_again(
    things: Double, asking: Asking, slept: list[float], status: int
) -> None:
    things.fail("/things", status, "Whatever")
    with pytest.raises(AzureRefused) as refused:
        get(asking)
    assert (refused.value.code, refused.value.status) == ("Whatever", status)
    assert slept == []
    (request,) = things.asked("GET", "/things")
    assert request.headers["x-ms-correlation-request-id"] in str(refused.value)


def test_a_missing_role_is_named_with_the_command_that_gives_it(
    things: Double, asking: Asking
) -> None:
    with pytest.raises(AzureRefused) as refused:
        asking.arm("GET", "/forbidden", "create the cluster", version=VERSION)
    assert refused.value.reason == "azure.role_missing"
    assert (
        'az role assignment create --assignee abc-1 --role "Azure Kubernetes Service Contributor'
        ' Role" --scope /subscriptions/s/resourceGroups/g' in refused.value.remedy
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            {
                "code": "BadArgumentError",
                "message": "The request had some invalid properties",
                "innererror": {
                    "code": "SemanticError",
                    "message": "A semantic error occurred.",
                    "innererror": {"code": "SEM0100", "message": "Failed to resolve column Foo"},
                },
            },
            "SemanticError: A semantic error occurred",
        ),
        ({"code": "Other", "message": "Said it all", "details": [{"code": "X"}]}, "Said it all"),
    ],
)
def test_a_code_that_says_nothing_gives_way_to_what_lies_beneath(
    error: dict[str, object], words: str
) -> None:
    refused = refusal(400, json.dumps({"error": error}), "query", "here")
    assert words in refused.message


def test_a_token_for_somebody_else_is_no_missing_role() -> None:
    body = json.dumps({"error": {"code": "InvalidAuthenticationTokenAudience", "message": "No."}})
    assert refusal(403, body, "query", "here").reason == "azure.unauthorized"


def test_an_address_that_carries_its_permission_is_never_shown(
    things: Double, asking: Asking
) -> None:
    address = f"{things.base}/signed?sig=planted"
    assert asking.call("GET", address, "read the log").body == b"content"
    assert "authorization" not in things.asked("GET", "/signed")[0].headers
    things.fail("/signed", 403, "Expired")
    with pytest.raises(WeirError) as refused:
        asking.call("GET", address, "read the log")
    assert "planted" not in str(refused.value)
    impatient = Asking(
        credential(identity_at(things), things.cloud), things.cloud, patience_seconds=0
    )
    things.hang_up("/signed")
    with pytest.raises(TemporaryError) as broken:
        impatient.call("GET", address, "read the log")
    assert "planted" not in str(broken.value)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"client_secret": "planted~wrong"}, "azure.secret_wrong"),
        ({"client_secret": "planted~expired~secret"}, "azure.secret_expired"),
        ({"client_id": "00000000-0000-4000-8000-000000000000"}, "azure.application_unknown"),
        ({"tenant_id": "00000000-0000-4000-8000-000000000000"}, "azure.tenant_wrong"),
    ],
)
def test_a_refused_identity_is_told_without_its_secret(
    azure: Double, changed: dict[str, str], reason: str
) -> None:
    identity = identity_at(azure, **changed)
    signed_in = credential(identity, azure.cloud)
    with pytest.raises(PermanentError) as refused:
        token(signed_in, azure.cloud.management_scope, "subscription s")
    assert refused.value.reason == reason
    assert "planted" not in f"{refused.value}{refused.value!r}{identity!r}"
    assert refused.value.__context__ is None or "planted" not in str(refused.value.__context__)


@pytest.mark.parametrize(
    ("identity", "missing"),
    [
        (Identity(SignIn.SECRET, client_id="a"), "tenant_id and client_secret"),
        (Identity(SignIn.CERTIFICATE, "t", "c", certificate_path="/no/such.pem"), "/no/such.pem"),
    ],
)
def test_half_an_identity_is_refused_before_anybody_is_asked(
    azure: Double, identity: Identity, missing: str
) -> None:
    with pytest.raises(UserError, match=missing):
        credential(identity, azure.cloud)
    assert azure.requests == []


def test_a_certificate_of_the_applications_own_signs_in(azure: Double, tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("app", key_type=trustme.KeyType.RSA)
    path = tmp_path / "app.pem"
    path.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
    identity = identity_at(azure, client_secret="", certificate_path=str(path))
    identity = Identity(**{**vars(identity), "sign_in": SignIn.CERTIFICATE})
    assert token(credential(identity, azure.cloud), azure.cloud.management_scope, "here")
    (asked,) = azure.asked("POST", "/token")
    assert asked.form()["client_assertion_type"].endswith("jwt-bearer")


def test_the_account_of_a_pod_signs_in_by_its_token_file(azure: Double, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("the pod's own token")
    identity = Identity(
        SignIn.WORKLOAD_IDENTITY,
        azure.directory.tenant,
        azure.directory.client_id,
        token_file=str(file),
    )
    assert token(credential(identity, azure.cloud), azure.cloud.management_scope, "here")
    (asked,) = azure.asked("POST", "/token")
    assert asked.form()["client_assertion"] == "the pod's own token"


@pytest.fixture
def hosted(azure: Double, monkeypatch: pytest.MonkeyPatch) -> Double:
    """This process runs where Azure gives it an identity."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{azure.base}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "planted-header")
    return azure


@pytest.mark.parametrize("whose", ["the system's", "one by its id"])
def test_a_managed_identity_signs_in_without_any_secret(hosted: Double, whose: str) -> None:
    client_id = hosted.directory.client_id if whose == "one by its id" else ""
    signed_in = credential(Identity(SignIn.MANAGED_IDENTITY, client_id=client_id), hosted.cloud)
    hosted.serve(Things())
    assert get(Asking(signed_in, hosted.cloud)) == {"version": VERSION}


def test_a_managed_identity_that_is_not_there_is_told(hosted: Double) -> None:
    identity = Identity(SignIn.MANAGED_IDENTITY, client_id="00000000-0000-4000-8000-000000000000")
    with pytest.raises(PermanentError) as refused:
        token(credential(identity, hosted.cloud), hosted.cloud.management_scope, "here")
    assert refused.value.reason == "azure.not_signed_in"


def test_the_environment_decides_who_asks_where_the_block_does_not(
    things: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = things.directory
    monkeypatch.setenv("AZURE_TENANT_ID", directory.tenant)
    monkeypatch.setenv("AZURE_CLIENT_ID", directory.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", directory.secret)
    assert get(Asking(credential(Identity(), things.cloud), things.cloud)) == {"version": VERSION}


def test_a_server_that_is_not_trusted_is_not_asked_again(tmp_path: Path, azure: Double) -> None:
    cloud = replace(azure.cloud, ca_bundle="")
    asking = Asking(credential(identity_at(azure), azure.cloud), cloud)
    with pytest.raises(PermanentError) as refused:
        asking.call("GET", f"{azure.base}/things", "read things")
    assert refused.value.reason == "azure.untrusted"
    assert "ca_bundle" in refused.value.remedy
