from __future__ import annotations

import pytest

from weir.errors import PermanentError
from weir.logs.kql import translated


def test_a_translation_is_kept_and_a_broken_one_is_made_anew(tmp_path):
    kql = "declare query_parameters(least:long); T | where X > least"
    first = translated(kql, {"T": ("X",)}, tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_text('{"sql": ')
    assert translated(kql, {"T": ("X",)}, tmp_path) == first
    kept.write_text('{"sql": "SELECT 1", "slots": {}}')
    assert translated(kql, {"T": ("X",)}, tmp_path).sql == "SELECT 1"


def test_a_query_that_does_not_translate_says_why(tmp_path):
    with pytest.raises(PermanentError) as caught:
        translated("T | wherex", {"T": ("X",)}, tmp_path)
    assert caught.value.reason == "telemetry.untranslatable"
    assert "could not parse KQL at 1:2" in caught.value.message
