"""Asks a registry whether it has an image, by the OCI distribution API."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from weir.errors import PermanentError, TemporaryError, UserError
from weir.images.credentials import Credentials

ANSWER_SECONDS = 30.0

_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_LOOPBACK = re.compile(r"^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$")
_DOCKER_HUB = {"docker.io": "registry-1.docker.io"}


def is_loopback(registry: str) -> bool:
    """Whether the registry is on this machine, where HTTP without TLS is as good."""
    return _LOOPBACK.match(registry) is not None


class Registry:
    """The registry at ``host``, signed in with ``credentials()`` when it asks for that.

    HTTP without TLS is spoken on loopback unless ``plain_http`` is False, and elsewhere where it is
    True. ``verify`` is what requests calls so: a file of certificates to trust, or True.
    """

    def __init__(
        self,
        host: str,
        credentials: Callable[[], Credentials | None] = lambda: None,
        *,
        plain_http: bool | None = None,
        verify: str | bool = True,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._host = host
        self._credentials = credentials
        self._may_be_plain = bool(plain_http)
        self._is_plain = is_loopback(host) if plain_http is None else plain_http
        self._verify = verify
        self._answer_seconds = answer_seconds
        self._session = requests.Session()
        # A .netrc is no login for a registry, and would go before ours.
        self._session.auth = unsigned

    def find(self, repository: str, tag: str) -> str | None:
        """The digest of the image's manifest, sha256:…; None when it is not there.

        Raises TemporaryError ``image.registry_unreachable``, PermanentError
        ``image.registry_sign_in`` or ``image.registry_refused``, UserError
        ``image.registry_insecure``.
        """
        answer = self._asked("HEAD", repository, tag)
        if answer is None:
            return None
        digest = answer.headers.get("Docker-Content-Digest")
        if digest:
            return digest
        answer = self._asked("GET", repository, tag)
        return None if answer is None else f"sha256:{hashlib.sha256(answer.content).hexdigest()}"

    def _asked(self, method: str, repository: str, tag: str) -> requests.Response | None:
        scheme = "http" if self._is_plain else "https"
        host = _DOCKER_HUB.get(self._host, self._host)
        url = f"{scheme}://{host}/v2/{repository}/manifests/{tag}"
        answer = self._send(method, url, headers={"Accept": _MANIFESTS})
        if answer.status_code == 401:
            authorization = self._authorization(answer, repository)
            headers = {"Accept": _MANIFESTS}
            answer = self._send(method, url, headers=headers, auth=authorization)
        if answer.status_code == 404:
            return None
        self._check(answer)
        return answer

    def _send(self, method: str, url: str, **sent: Any) -> requests.Response:
        try:
            # Given with each request: the session's own would give way to REQUESTS_CA_BUNDLE.
            return self._session.request(
                method, url, timeout=self._answer_seconds, verify=self._verify, **sent
            )
        except (requests.RequestException, OSError) as error:
            raise self._unreachable(_in_words(error)) from None

    def _authorization(self, refused: requests.Response, repository: str) -> Any:
        scheme, wanted = _challenge(refused.headers.get("WWW-Authenticate", ""))
        credentials = self._credentials()
        if scheme == "basic" and credentials is not None:
            return HTTPBasicAuth(credentials.user, credentials.password)
        if scheme == "bearer" and wanted.get("realm"):
            return _Bearer(self._token(wanted, repository, credentials))
        raise self._not_signed_in("it wants a login, and none is known")

    def _token(
        self, wanted: Mapping[str, str], repository: str, credentials: Credentials | None
    ) -> str:
        realm = wanted["realm"]
        place = urlsplit(realm)
        may_be_plain = self._may_be_plain or is_loopback(place.netloc)
        if place.scheme != "https" and not (place.scheme == "http" and may_be_plain):
            raise UserError(
                "image.registry_insecure",
                "the registry sends logins to a server without TLS.",
                remedy="Use a registry with TLS, or allow plain HTTP in the builder's settings.",
                where=self._host,
            )
        scope = wanted.get("scope") or f"repository:{repository}:pull"
        asked = {"service": wanted.get("service", self._host), "scope": scope}
        if credentials is not None and credentials.identity_token:
            token = credentials.identity_token
            form = {**asked, "grant_type": "refresh_token", "refresh_token": token}
            answer = self._send("POST", realm, data={**form, "client_id": "weir"})
        elif credentials is not None:
            basic = HTTPBasicAuth(credentials.user, credentials.password)
            answer = self._send("GET", realm, params=asked, auth=basic)
        else:
            answer = self._send("GET", realm, params=asked)
        self._check(answer)
        with suppress(ValueError, AttributeError):
            found = answer.json()
            token = found.get("access_token") or found.get("token")
            if isinstance(token, str) and token:
                return token
        raise self._not_signed_in("it gave no token")

    def _check(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status in (401, 403):
            raise self._not_signed_in(f"it answered {status}")
        if status == 429 or status >= 500:
            raise self._unreachable(f"it answered {status}")
        if status != 200:
            raise PermanentError(
                "image.registry_refused",
                f"the registry answered {status} when asked for an image.",
                remedy="Check that registry and repository in the builder's settings are those of a"
                " container registry.",
                where=self._host,
            )

    def _not_signed_in(self, why: str) -> PermanentError:
        return PermanentError(
            "image.registry_sign_in",
            f"the registry does not let weir in: {why}.",
            remedy=f"Sign in (docker login, buildah login or podman login {self._host}; az acr"
            " login for one of Azure), or give the builder the file of a login that may pull and"
            " push.",
            where=self._host,
        )

    def _unreachable(self, why: str) -> TemporaryError:
        return TemporaryError(
            "image.registry_unreachable",
            f"the registry cannot be asked: {why}.",
            remedy="Check its address and the connection to it, then run again.",
            where=self._host,
        )


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """The ``auth`` of a session that is to sign in by itself, whatever a .netrc says."""
    return request


def _challenge(header: str) -> tuple[str, Mapping[str, str]]:
    scheme, _, rest = header.strip().partition(" ")
    return scheme.lower(), {name.lower(): value for name, value in _PARAMETER.findall(rest)}


def _in_words(error: Exception) -> str:
    """Why in a few words: the library's own hold addresses with whatever was in them."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted, or it speaks no TLS"
    if isinstance(error, requests.Timeout):
        return "it did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "nothing answers at its address"
    return "its answer broke off"
