"""Reads a rollout policy that stands by itself, or in a release file."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from weir.spec.base import Part
from weir.spec.explain import explain
from weir.spec.problems import SpecError
from weir.spec.release import ReleaseSpec
from weir.spec.rollout import RolloutPolicy
from weir.spec.source import Source, read_source
from weir.spec.text import read_text


class _PolicyFile(Part):
    rollout: RolloutPolicy


def load_policy(path: str | os.PathLike[str]) -> RolloutPolicy:
    """The policy in the file ``path``: the ``rollout:`` part of a release file, alone or in it.

    Raises SpecError with every mistake.
    """
    shown_path = os.fspath(path)
    source = read_source(read_text(Path(path).expanduser(), shown_path, "policy file"), shown_path)
    if source.data is None or source.problems:
        raise SpecError(source.problems)
    try:
        return _PolicyFile.model_validate_json(
            json.dumps({"rollout": _policy_of(source).data["rollout"]}), strict=True
        ).rollout
    except ValidationError as error:
        raise SpecError(explain(error, _policy_of(source))) from error


def _policy_of(source: Source) -> Source:
    """``source`` with the policy below ``rollout``, where messages name its fields."""
    if isinstance(source.data, dict) and {"rollout", *ReleaseSpec.model_fields} & set(source.data):
        return replace(source, data={"rollout": source.data.get("rollout", {})})
    return replace(
        source,
        data={"rollout": source.data},
        lines={("rollout", *place): line for place, line in source.lines.items()},
        texts={("rollout", *place): text for place, text in source.texts.items()},
    )
