"""Sizes of virtual machines: what Azure says of a region's, and what is known without it. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from weir.errors import UserError

VERSION = "2021-07-01"
"""Of the API Microsoft.Compute/skus."""


@dataclass(frozen=True)
class Size:
    """One size in one region. ``restricted`` is why this subscription may not have it there."""

    name: str
    vcpus: int
    zones: frozenset[str] = frozenset()
    restricted: str = ""


_NAMED = re.compile(r"standard_[a-z]+?(\d+)(?:-(\d+))?[a-z]*(?:_[a-z0-9]+)*", re.IGNORECASE)
_OLD = re.compile(r"standard_(ds?|gs?)(\d+)(_v2)?(_promo)?", re.IGNORECASE)

_OLD_D: Mapping[int, int] = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
"""vCPUs of the series D, DS and their second version: the number in their names is none."""


def parse(entries: Iterable[Mapping[str, Any]], location: str) -> dict[str, Size]:
    """The sizes by their name in lower case, from the ``value`` of the API's answer."""
    found = {}
    for entry in entries:
        if entry.get("resourceType") == "virtualMachines":
            size = _size(entry, location)
            found[size.name.lower()] = size
    return found


def vcpus_by_name(vm_size: str) -> int:
    """What a size's name tells of its vCPUs; 0 where it tells nothing that can be relied on."""
    old = _OLD.fullmatch(vm_size)
    if old is not None:
        return _OLD_D.get(int(old[2]), 0) if old[1].lower().startswith("d") else 0
    named = _NAMED.fullmatch(vm_size)
    return 0 if named is None else int(named[2] or named[1])


def require(
    sizes: Mapping[str, Size], vm_size: str, location: str, zones: Iterable[str], where: str
) -> Size:
    """The size, for use in all of ``zones``. Raises UserError ``azure.sku_not_in_region``."""
    found = sizes.get(vm_size.lower())
    if found is None:
        near = difflib.get_close_matches(vm_size.lower(), sizes, n=3)
        meant = f"; did you mean {', '.join(sizes[one].name for one in near)}?" if near else "."
        raise _not_there(f"there is no {vm_size} in {location}{meant}", location, where)
    if found.restricted:
        raise _not_there(
            f"this subscription may not have {vm_size} in {location}: {found.restricted}.",
            location,
            where,
        )
    missing = [zone for zone in zones if zone not in found.zones]
    if missing:
        there = ", ".join(sorted(found.zones)) or "no zones"
        raise _not_there(
            f"{vm_size} is not in zone {', '.join(missing)} of {location}, only in {there}.",
            location,
            where,
        )
    return found


def _size(entry: Mapping[str, Any], location: str) -> Size:
    told = {one["name"]: one["value"] for one in entry.get("capabilities") or ()}
    counted = told.get("vCPUsAvailable") or told.get("vCPUs") or "0"
    zones: set[str] = set()
    for place in entry.get("locationInfo") or ():
        if str(place.get("location", "")).lower() == location.lower():
            zones.update(place.get("zones") or ())
    restricted = ""
    for one in entry.get("restrictions") or ():
        why = str(one.get("reasonCode") or "restricted")
        if one.get("type") == "Location":
            restricted = why
        elif one.get("type") == "Zone":
            zones -= set((one.get("restrictionInfo") or {}).get("zones") or ())
    count = int(counted) if str(counted).isdigit() else 0
    return Size(str(entry["name"]), count, frozenset(zones), restricted)


def _not_there(message: str, location: str, where: str) -> UserError:
    return UserError(
        "azure.sku_not_in_region",
        message,
        remedy=f"Choose another size or location: az vm list-skus --location {location}"
        " --resource-type virtualMachines shows what there is. Nothing was touched.",
        where=where,
    )
