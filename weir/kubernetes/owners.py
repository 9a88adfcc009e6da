"""Objects of a route that was deleted by hand and made anew."""

from __future__ import annotations

from weir.kubernetes.api import Api
from weir.kubernetes.kinds import Kind, Object


def taken_from_former(api: Api, kind: Kind, name: str, owner: Object) -> tuple[Object | None, bool]:
    """The object, and whether it has been removed because it belonged to a former ``owner``.

    The garbage collector is about to remove such an object, and would do so also after another
    owner was written into it; one that is made anew is another one to it.
    Raises Conflict when somebody changes it at the same time.
    """
    found = api.get(kind, name)
    if found is None or not _belongs_to_former(found, owner):
        return found, False
    api.delete(kind, name, resource_version=str(found["metadata"]["resourceVersion"]))
    return found, True


def _belongs_to_former(found: Object, owner: Object) -> bool:
    owners = found["metadata"].get("ownerReferences") or ()
    uids = {str(one.get("uid")) for one in owners if one.get("kind") == owner["kind"]}
    return bool(uids) and owner["metadata"]["uid"] not in uids
