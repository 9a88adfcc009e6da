"""weir render: the objects of a release, for people and for kubectl."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weir.cli import prefect_settings
from weir.cli.opening import LOCAL
from weir.errors import UserError
from weir.images.named import NamedImages
from weir.kubernetes.rendering import rendered
from weir.kubernetes.settings import ClusterSettings
from weir.ports import BuildContext
from weir.release.transitions import version_of
from weir.spec.load import load_release

OnCluster = Annotated[
    str,
    typer.Option(
        "--platform",
        help="A saved cluster, weir-kubernetes-cluster/NAME or weir-azure-cluster/NAME; its"
        " defaults when left out.",
        show_default=False,
    ),
]


def render(
    file: Annotated[Path, typer.Argument(help="The release file.", show_default=False)],
    platform: OnCluster = "",
) -> None:
    """Print a release's Kubernetes objects as YAML.

    Deterministic, and touches nothing. Callers' keys are not among them. environment_variables are
    printed as the release file has them: it is no place for secrets.
    """
    loaded = load_release(file)
    spec = loaded.spec
    context = BuildContext(None, loaded.directory, None, spec.inference)
    version = version_of(spec, NamedImages().digest(context), loaded.digest)
    # Not through the console: what is piped to kubectl has to stay as it is.
    typer.echo(rendered(spec.endpoint.name, version, _settings(platform)), nl=False)


def _settings(reference: str) -> ClusterSettings:
    if not reference:
        return ClusterSettings()
    if reference != LOCAL:
        prefect_settings.choose_api()
        import blocks

        block = blocks.load_platform(reference)
        if isinstance(block, blocks.ClusterBlock):
            return block.settings()
    raise UserError(
        "render.no_cluster",
        f"the platform {reference} is no cluster, and has no Kubernetes objects.",
        remedy="Name a block weir-kubernetes-cluster/NAME or weir-azure-cluster/NAME, or leave"
        " --platform out.",
        where="--platform",
    )
