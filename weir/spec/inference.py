"""How a model is served: an entry script, any server by its command, or a container image."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from weir.spec.base import Part

_PART = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
IMAGE_PATTERN = (
    r"^(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?"
    rf"{_PART}(?:/{_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$"
)
"""A registry's host, a name in lower case, a tag, a digest; as container runtimes read it."""

_ONLY_BUILT = ("base_image", "enable_gpu", "extra_dockerfile_steps")


class Inference(Part):
    """Either ``entry_script`` (init once, run per request) or ``command`` (any HTTP server).

    On a cluster ``image`` names a container image that holds server and model; with neither of the
    two others the image's own entry point serves, on the port in PORT. Without ``image`` a cluster
    that builds images makes one of the other settings; see docs/images.md.
    Paths are relative to the release file. A command may use ``{port}``, ``{model_dir}`` and
    ``{source_dir}``; PORT and AZUREML_MODEL_DIR are set in its environment too.
    """

    entry_script: str | None = Field(
        None, description="Python file with init() and run(), relative to source_directory."
    )
    source_directory: str = Field(".", description="Folder that is shipped with the model.")
    requirements: str | None = Field(
        None, description="requirements.txt from which the isolated environment is built."
    )
    conda_file: str | None = Field(
        None,
        description="Conda environment file from which an image's environment is built instead of"
        " requirements. This machine has no conda: it installs the pip section alone, on the Python"
        " that runs weir, and wants requirements beside a file that needs more.",
    )
    base_image: str | None = Field(
        None,
        pattern=IMAGE_PATTERN,
        description="Container image that an image is built on, best by digest; one with Python"
        " when unset. No effect on this machine.",
    )
    enable_gpu: bool = Field(
        False,
        description="Without base_image, build on an image with the CUDA libraries. No effect on"
        " this machine; the processors themselves are deployment.gpu_cores.",
    )
    extra_dockerfile_steps: str | None = Field(
        None,
        description="File of Dockerfile lines, run before the environment is installed. No effect"
        " on this machine.",
    )
    command: tuple[str, ...] | None = Field(
        None, description="Program and arguments of another model server."
    )
    image: str | None = Field(
        None,
        pattern=IMAGE_PATTERN,
        description="Container image with server and model, best by digest (name@sha256:…). A"
        " cluster runs it as it is; this machine runs no images.",
    )
    scoring_path: str = Field("/score", pattern=r"^/", description="Path that scores a request.")
    health_path: str = Field("/", pattern=r"^/", description="Path that answers 200 when healthy.")
    environment_variables: dict[str, str] = Field(
        default_factory=dict,
        description="Set for every replica, as it is written here; no place for secrets.",
    )

    @field_validator("environment_variables")
    @classmethod
    def _can_be_set(cls, given: dict[str, str]) -> dict[str, str]:
        # What no operating system can hand to a process; a name may be anything else.
        for name, value in given.items():
            if not name:
                raise ValueError("the name of a variable is empty")
            if "=" in name:
                raise ValueError(f"the name {name!r} has a =; a variable's name cannot")
            if "\0" in name + value:
                raise ValueError(f"{name!r} has a character of code 0; a variable cannot")
        return given

    @model_validator(mode="after")
    def _one_server(self) -> Self:
        given = (self.entry_script is not None) + (self.command is not None)
        if given > 1 or (given == 0 and self.image is None):
            raise ValueError("give exactly one of entry_script and command, or an image")
        if self.command is not None and not self.command:
            raise ValueError("command is empty; give the program and its arguments")
        if any("\0" in argument for argument in self.command or ()):
            raise ValueError("command has a character of code 0; an argument cannot")
        without_effect = [name for name in _ONLY_BUILT if getattr(self, name)]
        if self.image is not None and without_effect:
            raise ValueError(
                f"image is taken as it is, and {without_effect[0]} is for one that weir builds;"
                " give one of them"
            )
        return self

    def is_image_alone(self) -> bool:
        """Whether nothing of this machine's files is served."""
        return self.entry_script is None and self.command is None
