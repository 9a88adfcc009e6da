"""How the API server is reached: a kubeconfig, one of its contexts, or the pod's own account."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.rest import RESTClientObject
from kubernetes.config.kube_config import KubeConfigMerger

from weir.errors import UserError
from weir.spec.text import printable

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Access:
    """``kubeconfig_text`` goes before ``kubeconfig``, a path; without both the usual places count,
    and in a pod without those its own account.

    ``context`` is the kubeconfig's current one when empty. ``in_cluster`` takes the account of the
    pod that weir runs in. Never shown: a kubeconfig holds credentials.
    """

    kubeconfig_text: str = field(default="", repr=False)
    kubeconfig: str = ""
    context: str = ""
    in_cluster: bool = False


class SignedIn(client.ApiClient):  # type: ignore[misc]  # the library has no types
    """A client of the official library that ``configure`` gives its server and credentials, at the
    first call and whenever they have to be loaded anew.

    Until then ``name`` stands for the server.
    """

    configuration: Any

    def __init__(self, configure: Callable[[], Any], name: str = "") -> None:
        self._configure = configure
        self._renewing = threading.Lock()
        unknown = client.Configuration()
        unknown.host = name
        self._unknown = unknown
        super().__init__(unknown)

    def call_api(self, *request: Any, **more: Any) -> Any:
        """As the library's. Raises what ``configure`` raises, too."""
        if self.configuration is self._unknown:
            self.sign_in_again(self._unknown)
        return super().call_api(*request, **more)

    def sign_in_again(self, used: object) -> None:
        """Load the credentials anew, unless another thread has since ``used`` was configured.

        Raises what ``configure`` raises; then those that there were stay.
        """
        with self._renewing:
            if self.configuration is not used:
                return
            chosen = self._configure()
            self.rest_client = RESTClientObject(chosen)
            self.configuration = chosen


def connect(access: Access) -> client.ApiClient:
    """A client of the official library; nothing is asked of the server yet.

    Raises what ``configuration`` raises.
    """
    chosen = SignedIn(partial(configuration, access))
    chosen.sign_in_again(chosen.configuration)
    return chosen


def configuration(access: Access) -> Any:
    """The official library's own, with server and credentials.

    Raises UserError ``kubernetes.kubeconfig``, or ``kubernetes.sign_in`` where the kubeconfig's
    sign-in command fails.
    """
    chosen = client.Configuration()
    # Adding it again changes nothing.
    logging.getLogger().addFilter(_SILENCE)
    _SILENCE.forget()
    try:
        if access.in_cluster or _is_in_a_pod(access):
            config.load_incluster_config(client_configuration=chosen)
        elif access.kubeconfig_text:
            config.load_kube_config_from_dict(
                _parsed(access.kubeconfig_text),
                context=access.context or None,
                client_configuration=chosen,
                persist_config=False,
            )
        else:
            config.load_kube_config(
                _path(access),
                context=access.context or None,
                client_configuration=chosen,
                persist_config=False,
            )
    except (config.ConfigException, OSError) as error:
        raise _unusable(access, str(error)) from None
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError):
        raise _unusable(access, "it is not a kubeconfig") from None
    if _SILENCE.has_heard():
        raise _not_signed_in(access)
    # weir decides itself what is tried again, and for how long.
    chosen.retries = False
    if chosen.refresh_api_key_hook is not None:
        chosen.refresh_api_key_hook = partial(_refreshed, chosen.refresh_api_key_hook)
    return chosen


def _refreshed(refresh: Callable[[Any], object], configuration: Any) -> None:
    """Before each request: renew what has expired. What cannot be is left to the server's word."""
    with suppress(Exception):
        refresh(configuration)
    # The library has put its own in place of this one.
    configuration.refresh_api_key_hook = partial(_refreshed, refresh)


class _Silence(logging.Filter):
    """Keeps out of every log what a sign-in command wrote, which may hold secrets.

    The library logs it on the root logger, and goes on without credentials.
    """

    def __init__(self) -> None:
        super().__init__()
        self._heard = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        is_of_a_sign_in = record.name == "root" and record.module == "kube_config"
        if is_of_a_sign_in:
            self._heard.anything = True
        return not is_of_a_sign_in

    def forget(self) -> None:
        self._heard.anything = False

    def has_heard(self) -> bool:
        """Whether a sign-in has failed in this thread since ``forget``."""
        return bool(getattr(self._heard, "anything", False))


_SILENCE = _Silence()


def _path(access: Access) -> str | None:
    return str(Path(access.kubeconfig).expanduser()) if access.kubeconfig else None


def _is_in_a_pod(access: Access) -> bool:
    """Whether nothing was chosen, and the only cluster there can be is the pod's own."""
    chosen = access.kubeconfig_text or access.kubeconfig or access.context
    usual = os.environ.get("KUBECONFIG") or (Path.home() / ".kube" / "config").exists()
    return not (chosen or usual) and "KUBERNETES_SERVICE_HOST" in os.environ


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError("not YAML") from None
    if not isinstance(found, dict):
        raise ValueError("not a mapping")
    return found


def _not_signed_in(access: Access) -> UserError:
    command = _sign_in_command(access)
    return UserError(
        "kubernetes.sign_in",
        f"the kubeconfig's sign-in command{f' {command}' if command else ''} failed.",
        remedy="Run kubectl version with that kubeconfig: it shows what the command says. Perhaps"
        " sign in again (az login, kubelogin).",
        where=access.kubeconfig or "kubeconfig",
    )


def _sign_in_command(access: Access) -> str:
    """The name of the command, without its arguments; empty when it cannot be told."""
    with suppress(config.ConfigException, OSError, yaml.YAMLError, LookupError, TypeError):
        if access.kubeconfig_text:
            found = yaml.safe_load(access.kubeconfig_text)
        else:
            usual = os.environ.get("KUBECONFIG") or "~/.kube/config"
            found = KubeConfigMerger(_path(access) or usual).config.value
        context = access.context or found["current-context"]
        contexts = {one["name"]: one["context"] for one in found["contexts"]}
        users = {one["name"]: one["user"] for one in found["users"]}
        command = str(users[contexts[context]["user"]]["exec"]["command"])
        return printable(Path(command).name)
    return ""


def _unusable(access: Access, why: str) -> UserError:
    where = "in-cluster account" if access.in_cluster else access.kubeconfig or "kubeconfig"
    return UserError(
        "kubernetes.kubeconfig",
        f"the cluster's credentials cannot be used: {why.rstrip('.')}.",
        remedy="Correct kubeconfig and context in the platform block; az aks get-credentials"
        " writes one.",
        where=where,
    )
