from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.spec.files import GOOD, problems, problems_of, release
from weir.errors import UserError
from weir.spec.load import Loaded, load_release, with_model
from weir.spec.problems import LONGEST_PROBLEM, Problem, SpecError


def test_a_good_file_gives_the_spec_and_where_its_paths_start(tmp_path: Path) -> None:
    loaded = load_release(release(tmp_path))
    assert loaded.spec.endpoint.name == "fraud"
    assert loaded.spec.model.version == "1"
    assert loaded.directory == tmp_path


def test_a_mistake_names_file_line_field_value_and_what_is_allowed(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "deployment:\n  num_replicas: -1\n") == [
        "release.yaml:14: deployment.num_replicas: -1 is not allowed; it has to be greater than 0"
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = release(
        tmp_path, GOOD.replace("path: model", "path: nowhere").replace("fraud\nv", "Fr!\nv")
    )
    path.write_text(path.read_text() + "rollout:\n  alpha: 2\n")
    assert [line.split(": ")[:2] for line in problems(path)] == [
        ["release.yaml:1", "endpoint"],
        ["release.yaml:6", "model.path"],
        ["release.yaml:14", "rollout.alpha"],
    ]


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ("num_replicas: two", '"two" is not allowed; it has to be a whole number'),
        ('num_replicas: "2"', '"2" is not allowed; it has to be a whole number'),
        ("num_replicas: true", "true is not allowed; it has to be a whole number"),
        ("num_replicas: 1.5", "1.5 is not allowed; it has to be a whole number"),
        ("num_replicas: [1]", "a list is not allowed; it has to be a whole number"),
        ("cpu_cores: .inf", '".inf" is not allowed; it has to be a number'),
        ("cpu_cores: true", "true is not allowed; it has to be a number"),
        ("retry_on_reset: yes", '"yes" is not allowed; it has to be true or false'),
        ("retry_on_reset: 1", "1 is not allowed; it has to be true or false"),
        ("description: 1.10", '1.10 is not text; put it in quotes: "1.10"'),
        ("tags: [a]", "a list is not allowed; it has to be a mapping, lines like name: value"),
        ("liveness:", "is empty; give a mapping, lines like name: value, or leave the line out"),
        ("num_replcas: 2", "is not a field; did you mean num_replicas?"),
        ("auth_enabled: true", "is not a field here; did you mean endpoint.auth_enabled?"),
        ("numReplicas: 2", "is Azure ML's name; here it is deployment.num_replicas"),
    ],
)
def test_a_wrong_value_is_told_in_words(tmp_path: Path, addition: str, message: str) -> None:
    (line,) = problems_of(tmp_path, f"deployment:\n  {addition}\n")
    assert line == f"release.yaml:14: deployment.{addition.split(':')[0]}: {message}"


@pytest.mark.parametrize(
    ("addition", "line"),
    [
        ("- {metric: failures, margin: 0.5}", "[0].margin: 0.5 is not allowed; it has to be at"),
        ("- {metric: latenci}", '[0].metric: "latenci" is not allowed; it has to be failures or'),
        ("- {margin: 2}", "[0].metric: is missing; it has to be failures or slow"),
        ("- {metric: latency, margn: 2}", "[0].margn: is not a field; did you mean margin?"),
        ("- {metric: latency, quantiles: [50, 101]}", "[0].quantiles[1]: 101 is not allowed;"),
        ("- {metric: failures, margin: 3}", "[0]: promote_margin 1.5 has to be greater than"),
        ("- fast", '[0]: "fast" is not allowed; it has to be a mapping'),
    ],
)
def test_the_path_of_a_guardrail_is_the_users_own(tmp_path: Path, addition: str, line: str) -> None:
    (only,) = problems_of(tmp_path, f"rollout:\n  guardrails:\n    {addition}\n")
    assert only.startswith(f"release.yaml:15: rollout.guardrails{line}")


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ("steps: [0.001, 100]", "the finest step is 0.01"),
        ("steps: [99.999, 100]", "the finest step is 0.01"),
        ("steps: [99.9999999999, 100]", "steps have to rise"),
        ("failure_classes: []", "a list of at least 1 item"),
        ("guardrails: [{metric: latency, quantiles: [99.99]}]", "at most 99.98"),
        ("guardrails: [{metric: latency, quantiles: [50, 50.000001]}]", "given twice: p50, p50"),
        ("guardrails: [{metric: failures, weight: 1.0e-300}]", "at least 1e-06"),
        ("guardrails: [{metric: failures, promote_margin: 1.0e+308}]", "at most 1,000"),
        ("soak_seconds: 90000", "no rollout ends before deadline_seconds"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(tmp_path: Path, addition: str, words: str) -> None:
    (line,) = problems_of(tmp_path, f"rollout:\n  {addition}\n")
    assert words in line


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ('environment_variables: {"": x}', "the name of a variable is empty"),
        ('environment_variables: {"A=B": x}', "the name 'A=B' has a =; a variable's name cannot"),
        ('environment_variables: {"A\\0": x}', "'A\\x00' has a character of code 0"),
        ('environment_variables: {A: "x\\0"}', "'A' has a character of code 0"),
    ],
)
def test_a_variable_that_no_process_can_be_given_is_refused(
    tmp_path: Path, addition: str, words: str
) -> None:
    text = GOOD.replace("source_directory: src", f"source_directory: src\n  {addition}")
    (line,) = problems(release(tmp_path, text))
    assert line.startswith("release.yaml:10: inference.environment_variables: ")
    assert words in line


def test_a_command_that_no_process_can_be_given_is_refused(tmp_path: Path) -> None:
    command = 'command: [serve, "a\\0"]'
    (line,) = problems(release(tmp_path, GOOD.replace("entry_script: score.py", command)))
    assert "command has a character of code 0" in line


def test_a_variables_name_may_be_anything_else(tmp_path: Path) -> None:
    names = ["A B", "1x.y-z", "é", "$(A)"]
    variables = f"environment_variables: {dict.fromkeys(names, 'x')}"
    text = GOOD.replace("source_directory: src", f"source_directory: src\n  {variables}")
    found = load_release(release(tmp_path, text)).spec.inference.environment_variables
    assert list(found) == names


def test_a_step_is_what_its_hundredths_say(tmp_path: Path) -> None:
    path = release(tmp_path, f"{GOOD}rollout:\n  steps: [33.3300000001, 100]\n")
    assert load_release(path).spec.rollout.steps == (33.33, 100)


def test_a_floating_point_version_has_to_be_quoted(tmp_path: Path) -> None:
    assert problems(release(tmp_path, GOOD.replace("version: 1", "version: 1.10"))) == [
        'release.yaml:5: model.version: 1.10 is not text; put it in quotes: "1.10"'
    ]


def test_a_version_with_leading_zeros_or_the_name_on_stays_as_it_is_written(
    tmp_path: Path,
) -> None:
    text = GOOD.replace("version: 1", "version: 007").replace(
        "version_name: v1", "version_name: on"
    )
    spec = load_release(release(tmp_path, text)).spec
    assert (spec.model.version, spec.version_name) == ("007", "on")


def test_a_missing_field_is_named_with_its_meaning(tmp_path: Path) -> None:
    assert problems(release(tmp_path, GOOD.replace("version_name: v1\n", ""))) == [
        "release.yaml:1: version_name: is missing; it has to be given"
        " (Name of the version behind the endpoint)"
    ]


def test_a_rule_over_several_fields_stands_at_their_part(tmp_path: Path) -> None:
    addition = "deployment:\n  num_replicas: 2\n  autoscale_enabled: true\n"
    assert problems_of(tmp_path, addition) == [
        "release.yaml:13: deployment: num_replicas and autoscale_enabled: true exclude each other"
    ]


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    (line,) = problems_of(tmp_path, f"deployment:\n  num_replicas: {'x' * 5000}\n")
    assert len(line) < 200


def test_no_line_grows_without_bound(tmp_path: Path) -> None:
    (line,) = problems_of(tmp_path, f"{'x' * 5000}: 1\n")
    assert len(line) <= LONGEST_PROBLEM


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("path: model", "path: gone", '6: model.path: "gone" does not exist; looked for gone'),
        ("directory: src", "directory: gone", '9: inference.source_directory: "gone" does not'),
        ("script: score.py", "script: s.py", '8: inference.entry_script: "s.py" does not exist;'),
        ("script: score.py", "script: ../release.yaml", "8: inference.entry_script: "),
        ("requirements.txt", "src", '10: inference.requirements: "src" is a folder, it has to be'),
        ("directory: src", "directory: release.yaml", "9: inference.source_directory: "),
        ("samples.ndjson", "src/score.py", "12: check.samples: line 1 of src/score.py is not JSON"),
        ("samples.ndjson", '"a\\0b"', "12: check.samples: "),
        ("samples.ndjson", '""', "12: check.samples: is empty"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_problem_of_its_field(
    tmp_path: Path, old: str, new: str, line: str
) -> None:
    (only,) = problems(release(tmp_path, GOOD.replace(old, new)))
    assert only.startswith(f"release.yaml:{line}")


def test_an_empty_model_folder_is_refused(tmp_path: Path) -> None:
    path = release(tmp_path)
    (tmp_path / "model" / "weights.bin").unlink()
    assert "is an empty folder" in problems(path)[0]


def test_a_missing_release_file_is_told_with_the_place_looked_at(tmp_path: Path) -> None:
    assert problems(tmp_path / "r.yaml") == ["r.yaml: does not exist; looked for r.yaml"]


def test_a_folder_is_no_release_file(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    assert problems(tmp_path / "r") == ["r: is a folder; give the release file in it"]


def test_text_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"endpoint: fraud\nversion_name: \xff\n")
    assert problems(path) == ["r.yaml:2: is not UTF-8 text; save it as UTF-8"]


def test_the_error_is_the_users_and_survives_pickling() -> None:
    error = SpecError([Problem("r.yaml", "is wrong", "model.path", 3)])
    again = pickle.loads(pickle.dumps(error))
    assert (again.exit_status, again.reason, again.problems) == (2, "spec.invalid", error.problems)
    assert str(again) == "r.yaml:3: model.path: is wrong"


def test_the_same_content_elsewhere_has_the_same_digest(tmp_path: Path) -> None:
    here, there = load_release(release(tmp_path / "a")), load_release(release(tmp_path / "b"))
    assert here.digest == there.digest


def test_moving_a_file_leaves_the_digest_as_it_is(tmp_path: Path) -> None:
    before = load_release(release(tmp_path)).digest
    path = release(tmp_path, GOOD.replace("path: model", "path: models/first"))
    (tmp_path / "models").mkdir()
    (tmp_path / "model").rename(tmp_path / "models" / "first")
    assert load_release(path).digest == before


@pytest.mark.parametrize(
    "changed", ["model/weights.bin", "src/score.py", "requirements.txt", "samples.ndjson"]
)
def test_another_content_has_another_digest(tmp_path: Path, changed: str) -> None:
    path = release(tmp_path)
    before = load_release(path).digest
    (tmp_path / changed).write_text('{"other": 1}\n')
    assert load_release(path).digest != before


def test_another_setting_has_another_digest_and_a_comment_has_not(tmp_path: Path) -> None:
    before = load_release(release(tmp_path)).digest
    assert load_release(release(tmp_path, f"# note\n{GOOD}")).digest == before
    changed = f"{GOOD}deployment:\n  num_replicas: 3\n"
    assert load_release(release(tmp_path, changed)).digest != before


@dataclass(frozen=True)
class Registered:
    name: str
    version: str
    path: Path


def loaded_without_path(folder: Path) -> Loaded:
    text = GOOD.replace("  path: model\n", "").replace("version: 1", "version: latest")
    return load_release(release(folder, text))


def test_a_registered_model_fills_version_path_and_digest(tmp_path: Path) -> None:
    loaded = loaded_without_path(tmp_path)
    filled = with_model(loaded, Registered("fraud", "7", tmp_path / "model"))
    assert loaded.spec.model.path is None
    assert (filled.spec.model.version, filled.spec.model.path) == ("7", str(tmp_path / "model"))
    assert filled.digest != loaded.digest


def test_a_model_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"of model fraud, not of churn"):
        with_model(loaded_without_path(tmp_path), Registered("churn", "7", tmp_path / "model"))
