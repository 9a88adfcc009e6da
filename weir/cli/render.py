"""weir render: the objects of a release, for people and for kubectl."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weir.cli import prefect_settings
from weir.cli.opening import LOCAL
from weir.errors import UserError
from weir.images.named import NamedImages
from weir.kubernetes.rendering import rendered
from weir.kubernetes.settings import ClusterSettings
from weir.local.models import LocalModels
from weir.ports import BuildContext, Images
from weir.release.steps import build_context
from weir.release.transitions import version_of
from weir.spec.load import load_release

if TYPE_CHECKING:
    from blocks import ClusterBlock

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
    # What is named needs no model and no source to be there.
    context = BuildContext(None, loaded.directory, None, spec.inference)
    settings = ClusterSettings()
    images: Images = NamedImages()
    if platform:
        block = _cluster(platform)
        settings = block.settings()
        if spec.inference.image is None:
            images = block.images()
            context = build_context(LocalModels(block.root()), spec, loaded.directory)
    version = version_of(spec, images.digest(context), loaded.digest)
    # Not through the console: what is piped to kubectl has to stay as it is.
    typer.echo(rendered(spec.endpoint.name, version, settings), nl=False)


def _cluster(reference: str) -> ClusterBlock:
    if reference != LOCAL:
        prefect_settings.choose_api()
        import blocks

        block = blocks.load_platform(reference)
        if isinstance(block, blocks.ClusterBlock):
            return block
    raise UserError(
        "render.no_cluster",
        f"the platform {reference} is no cluster, and has no Kubernetes objects.",
        remedy="Name a block weir-kubernetes-cluster/NAME or weir-azure-cluster/NAME, or leave"
        " --platform out.",
        where="--platform",
    )
