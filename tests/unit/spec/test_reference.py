from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from weir.spec import migration, reference, schema
from weir.spec.fields import every_field
from weir.spec.release import ReleaseSpec

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_of_the_release_file_is_the_one_that_the_code_gives() -> None:
    """Run: python -m weir.spec.reference > docs/release-file.md"""
    assert (DOCS / "release-file.md").read_text() == reference.page()


def test_the_schema_for_editors_is_the_one_that_the_code_gives() -> None:
    """Run: python -m weir.spec.schema > docs/release.schema.json"""
    assert json.loads((DOCS / "release.schema.json").read_text()) == schema.json_schema()


def test_every_field_has_a_meaning() -> None:
    assert [(where, name) for where, name, field in every_field() if not field.description] == []


def test_every_field_stands_on_the_page() -> None:
    page = reference.page()
    assert [name for _, name, _ in every_field() if f"| `{name}` |" not in page] == []


def test_the_smallest_file_on_the_page_is_a_release() -> None:
    text = reference.page().split("```yaml\n")[1].split("```")[0]
    assert ReleaseSpec.model_validate(yaml.safe_load(text)).version_name == "v1"


@pytest.mark.parametrize(
    "setting", [*migration.INFERENCE_CONFIG, *migration.DEPLOYMENT_CONFIG, *migration.SDK]
)
def test_a_setting_of_azure_ml_leads_to_a_field_that_exists(setting: migration.Moved) -> None:
    known = {f"{where}.{name}" if where else name for where, name, _ in every_field()}
    assert setting.field in known or (not setting.field and setting.note)
