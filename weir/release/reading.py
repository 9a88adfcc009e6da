"""What is to be released: a file, a registered model, or both."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from weir.errors import UserError
from weir.ports import ModelVersion, Platform
from weir.release.documents import readable
from weir.spec.load import Loaded, load_release, with_model
from weir.spec.release import NAME_PATTERN, ReleaseSpec

_LONGEST_NAME = 63
_DIGEST_LENGTH = 6


def read_release(
    platform: Platform, release_file: Path | None, model: str | None, model_version: str
) -> Loaded:
    """The release, read and checked; nothing is touched.

    ``release_file`` alone: what it says. ``model``: that registered model, released as the file
    given says, else the file registered with it, else as its last promoted release was; the
    version is then called after the model, for example fraud-2.
    Raises UserError naming what is missing or wrong.
    """
    if model is None:
        if release_file is None:
            raise UserError(
                "release.nothing_named",
                "neither a release file nor a model is given.",
                remedy="Give a release file, or the name of a registered model.",
                where="release_file",
            )
        loaded = load_release(release_file)
        if loaded.spec.model.path is not None or has_its_model_inside(loaded.spec):
            return loaded
        wanted = loaded.spec.model
        return with_model(loaded, platform.models.get(wanted.name, wanted.version))
    registered = platform.models.get(model, model_version)
    path = release_file or registered.release_file
    loaded = (
        load_release(path, with_its_model=False)
        if path is not None
        else _last_settings(platform, registered)
    )
    return with_model(_named_after(loaded, registered), registered)


def has_its_model_inside(spec: ReleaseSpec) -> bool:
    """Whether the model comes with the container image, and no registry has to be asked."""
    return spec.inference.is_image_alone() and spec.model.path is None


def registered_later(platform: Platform, model: str | None, version: str) -> ModelVersion | None:
    """The newest version of ``model`` if it was registered later than ``version``.

    None without a model, and for a version that is asked for as the latest one anyway.
    """
    if model is None or version == "latest":
        return None
    wanted = platform.models.get(model, version)
    newest = max(platform.models.versions(model), key=lambda one: one.registered_at)
    return newest if newest.registered_at > wanted.registered_at else None


def _named_after(loaded: Loaded, model: ModelVersion) -> Loaded:
    """The release under a version name of its own: the model's name and version.

    The file's version_name belongs to the model that the file was written for.
    """
    name = version_name(model.name, model.version)
    return replace(loaded, spec=loaded.spec.model_copy(update={"version_name": name}))


def version_name(model: str, version: str) -> str:
    """A valid name for a model's version: fraud-2.

    What had to be changed to make it valid ends in a digest of what it was: 1.0, 1_0 and 1-0 are
    three versions.
    """
    wanted = f"{model}-{version}"
    if re.fullmatch(NAME_PATTERN, wanted) and not wanted.endswith("\n"):
        return wanted
    digest = hashlib.sha256(wanted.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    stem = re.sub(r"[^a-z0-9]+", "-", wanted.lower())[: _LONGEST_NAME - _DIGEST_LENGTH - 1]
    return f"{stem.strip('-')}-{digest}".lstrip("-")


def _last_settings(platform: Platform, model: ModelVersion) -> Loaded:
    found = [
        document.settings
        for document in readable(platform)
        if document.settings is not None and document.settings.spec.model.name == model.name
    ]
    if len(found) == 1:
        return Loaded(
            spec=found[0].spec,
            path=Path(found[0].directory),
            directory=Path(found[0].directory),
            digest="",
        )
    served = ", ".join(settings.spec.endpoint.name for settings in found)
    raise UserError(
        "release.no_settings",
        f"model {model.name} {model.version} was registered without a release file, and"
        + (
            f" several endpoints serve {model.name}: {served}."
            if found
            else " no endpoint serves it yet."
        ),
        remedy=f"Register it with one: weir register PATH --name {model.name} --release FILE.",
        where=f"model {model.name}",
    )
