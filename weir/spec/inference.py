"""How a model is served: an entry script, or any server by its command."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from weir.spec.base import Part


class Inference(Part):
    """Either ``entry_script`` (init once, run per request) or ``command`` (any HTTP server).

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
    command: tuple[str, ...] | None = Field(
        None, description="Program and arguments of another model server."
    )
    scoring_path: str = Field("/score", pattern=r"^/", description="Path that scores a request.")
    health_path: str = Field("/", pattern=r"^/", description="Path that answers 200 when healthy.")
    environment_variables: dict[str, str] = Field(
        default_factory=dict, description="Set for every replica; no place for secrets."
    )

    @model_validator(mode="after")
    def _one_server(self) -> Self:
        if (self.entry_script is None) == (self.command is None):
            raise ValueError("give exactly one of entry_script and command")
        if self.command is not None and not self.command:
            raise ValueError("command is empty; give the program and its arguments")
        return self
