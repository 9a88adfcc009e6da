"""Versions as Deployments with a guard in every pod."""

from __future__ import annotations

from collections.abc import Mapping

from weir.endpoint import Version
from weir.errors import PermanentError, TemporaryError, WeirError
from weir.kubernetes import names
from weir.kubernetes.answers import FieldConflict
from weir.kubernetes.api import Api
from weir.kubernetes.differences import difference
from weir.kubernetes.following import Following
from weir.kubernetes.kinds import (
    DEPLOYMENT,
    EVENT,
    POD,
    REPLICA_SET,
    SERVICE,
    Object,
    kind_of,
    name_of,
)
from weir.kubernetes.pod import GUARD, MODEL
from weir.kubernetes.scaling import Scaling
from weir.kubernetes.settings import ClusterSettings
from weir.kubernetes.version_manifests import dependents, owned_by, service
from weir.kubernetes.waiting import KubernetesWatch
from weir.kubernetes.workload_status import cannot_make_pods, is_rolled_out, status_of
from weir.ports import WorkloadStatus

GATEWAY = "gateway"
GONE_MARGIN_SECONDS = 60.0
_LOOKED_AT = 3


class KubernetesWorkloads:
    """Implements ``Workloads``. A version's Service owns whatever else belongs to it."""

    def __init__(self, api: Api, settings: ClusterSettings) -> None:
        self._api, self._settings = api, settings
        self._scaling = Scaling(api)

    def apply(self, endpoint: str, version: Version) -> None:
        """See Workloads. Fields that others own stay as they are.

        Raises PermanentError ``workload.field_conflict`` where somebody else sets the same field.
        """
        # The root belongs to nothing: who deletes a route by hand must not take the pods along.
        root = self._apply(service(endpoint, version), None)
        self._scaling.prepare(names.of_version(endpoint, version.name), version.deployment)
        for manifest in dependents(endpoint, version, self._settings):
            applied = self._apply(manifest, root)
            if manifest["kind"] == DEPLOYMENT.name:
                self._scaling.complete(applied, version.deployment)

    def difference(self, endpoint: str, version: Version) -> tuple[str, ...]:
        """See Workloads: what the API server itself says that ``apply`` would change."""
        found: list[str] = []
        for manifest in (
            service(endpoint, version),
            *dependents(endpoint, version, self._settings),
        ):
            present = self._api.get(kind_of(manifest), name_of(manifest))
            try:
                wanted = self._api.apply(manifest, dry_run=True)
            except FieldConflict as error:
                found.append(f"! {error.message}")
                continue
            except WeirError as error:
                if error.reason != "kubernetes.namespace_missing":
                    raise
                wanted = manifest
            found += difference(present, wanted)
        return tuple(found)

    def status(self, endpoint: str, version: str) -> WorkloadStatus | None:
        deployment = self._api.get(DEPLOYMENT, names.of_version(endpoint, version))
        labels = names.version_selector(endpoint, version)
        pods, _ = self._api.list(POD, labels)
        events: list[Object] = []
        replica_sets: list[Object] = []
        if deployment is not None and not is_rolled_out(deployment):
            for pod in pods[:_LOOKED_AT]:
                about = f"involvedObject.kind=Pod,involvedObject.name={name_of(pod)}"
                events += self._api.list(EVENT, fields=about)[0]
            if cannot_make_pods(deployment):
                replica_sets, _ = self._api.list(REPLICA_SET, labels)
        return status_of(
            version,
            deployment,
            pods,
            replica_sets=replica_sets,
            events=events,
            now=self._api.now(),
            unschedulable_patience_seconds=self._settings.unschedulable_patience_seconds,
        )

    def watch(self, endpoint: str, version: str) -> KubernetesWatch:
        return KubernetesWatch(self._api, self._settings, endpoint, version)

    def versions(self, endpoint: str) -> tuple[str, ...]:
        labels = {names.ENDPOINT: endpoint}
        services, _ = self._api.list(SERVICE, labels)
        pods, _ = self._api.list(POD, labels)
        found = {one["metadata"]["labels"].get(names.VERSION, "") for one in (*services, *pods)}
        return tuple(sorted(found - {""}))

    def remove(self, endpoint: str, version: str) -> None:
        """See Workloads. Raises TemporaryError ``workload.not_gone``."""
        name = names.of_version(endpoint, version)
        labels = names.version_selector(endpoint, version)
        self._api.delete(SERVICE, name, foreground=True)
        with (
            Following(self._api, SERVICE, name=name) as services,
            Following(self._api, POD, labels=labels) as pods,
        ):
            longest = max((_grace_seconds(pod) for pod in pods.objects()), default=0.0)
            # The Service goes last of what the version has; its pods may take longer still.
            for followed in (services, pods):
                self._await_none(followed, longest + GONE_MARGIN_SECONDS)

    def _await_none(self, followed: Following, timeout_seconds: float) -> None:
        if not followed.wait_until(lambda: not followed.objects(), timeout_seconds):
            raise self._not_gone(followed)

    def _not_gone(self, followed: Following) -> TemporaryError:
        left = ", ".join(f"{one['kind']} {name_of(one)}" for one in followed.objects())
        return TemporaryError(
            "workload.not_gone",
            f"{left or 'something of the version'} does not go away.",
            remedy="See why with kubectl describe, then run again.",
            where=self._api.where,
        )

    def logs(self, endpoint: str, version: str, lines: int) -> Mapping[str, tuple[str, ...]]:
        """See Workloads. A container that is being restarted is quoted from before its end.

        ``gateway`` stands for the guards of all versions. A pod that is gone has no log any more.
        """
        is_guard = version == GATEWAY
        labels = {names.ENDPOINT: endpoint}
        if not is_guard:
            labels = names.version_selector(endpoint, version)
        pods, _ = self._api.list(POD, labels)
        container = GUARD if is_guard else MODEL
        # A Gateway's own pods may have its labels.
        ours = [pod for pod in pods if names.VERSION in pod["metadata"]["labels"]]
        return {name_of(pod): self._log(pod, container, lines) for pod in ours}

    def _apply(self, manifest: Object, owner: Object | None) -> Object:
        try:
            return self._api.apply(owned_by(manifest, owner))
        except FieldConflict as error:
            raise PermanentError(
                "workload.field_conflict",
                error.message,
                remedy="Undo the other's change (kubectl get -o yaml --show-managed-fields tells"
                " more), or leave the field out of the release file; then release again.",
                where=error.where,
            ) from error

    def _log(self, pod: Object, container: str, lines: int) -> tuple[str, ...]:
        if lines <= 0:
            return ()
        path = f"{POD.path(self._api.namespace, name_of(pod))}/log"
        query = [("container", container), ("tailLines", str(lines))]
        if _is_restarting(pod, container):
            query.append(("previous", "true"))
        try:
            text = self._api.text(path, f"read the log of {name_of(pod)}", query)
        except WeirError:
            # Nothing has been written yet, or the node does not answer.
            return ()
        return tuple(text.splitlines())


def _is_restarting(pod: Object, container: str) -> bool:
    status = pod.get("status") or {}
    containers = (
        *(status.get("containerStatuses") or ()),
        *(status.get("initContainerStatuses") or ()),
    )
    return any(
        one.get("name") == container
        and int(one.get("restartCount") or 0) > 0
        and "running" not in (one.get("state") or {})
        for one in containers
    )


def _grace_seconds(pod: Object) -> float:
    return float((pod.get("spec") or {}).get("terminationGracePeriodSeconds") or 0)
