"""The doctor on what is left of a run's files."""

import json
from pathlib import Path

import pytest

from ganforge.doctor.diagnosis import diagnose
from ganforge.doctor.doctor import Doctor
from ganforge.doctor.journal import read_findings, read_lines
from ganforge.doctor.treatment import Treatment
from ganforge.jsonlines import SMALL

RECIPE = {"objective": {"name": "bce"}, "training": {"batch_size": 64}}
WELL = {"generator/loss": 1.0, "health/separation": 0.7, "health/gradient_generator": 1.0, "health/spread": 1.0}
WINS = {**WELL, "health/separation": 0.99, "discriminator/logits_real": 9.0, "discriminator/logits_fake": -9.0}
ILLNESSES = (
    "discriminator_wins", "generator_wins", "collapse", "missing_classes", "oscillation", "memorising",
    "exploding_gradients", "dead_gradients", "average_far",
)  # fmt: skip


def write(path: Path, lines: list) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("value", [None, 3, "text", [], ["a"], [[]], {}, {"name": 3}, True, -1, 1e300, 10**400])
@pytest.mark.parametrize("illness", ILLNESSES)
def test_a_recipe_with_anything_anywhere_has_remedies_all_the_same(illness: str, value: object) -> None:
    tables: list[dict] = [{key: value} for key in ("objective", "training", "optimizer", "penalties", "augment")]
    tables += [
        {"penalties": [value, {"name": "r1", "weight": value}], "discriminator": {"packing": value}},
        {"optimizer": {"generator": {"lr": value, "betas": value}, "discriminator": value}},
        {"training": {"ema": value, "batch_size": value, "generator_turns": value}, "objective": {"name": value}},
    ]
    for table in tables:
        assert all(isinstance(remedy, str) for remedy in Treatment(table).remedies(illness))


def test_figures_of_odd_names_and_values_are_no_figures(tmp_path: Path) -> None:
    odd = {"health/class_x": 1.0, "health/class_²": 1.0, f"health/class_{'9' * 5000}": 1.0, "health/spread": "wide"}
    classes = {f"health/class_{number}": 0.0 for number in range(4)}
    lines = [{"step": 50 * number, **WELL, **classes, **odd} for number in range(1, 40)]
    write(tmp_path / "metrics.jsonl", lines)
    read = list(read_lines(tmp_path))
    assert "health/spread" not in read[0]
    assert {finding.name for finding in Doctor(RECIPE).replay(read)} == {"missing_classes"}


def test_damaged_lines_are_told_and_the_others_are_judged(tmp_path: Path) -> None:
    (tmp_path / "recipe.resolved.toml").write_text('objective = { name = "bce" }\n')
    write(tmp_path / "metrics.jsonl", [{"step": 50 * number, **WINS} for number in range(1, 10)])
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": \xff}\n[1]\n{"step": "9"}\n')
    diagnosis = diagnose(tmp_path)
    assert (diagnosis.lines_seen, diagnosis.last_step, diagnosis.passed_over) == (9, 450, 3)
    assert "3 damaged lines of metrics.jsonl passed over" in diagnosis.lines()[0]
    assert diagnosis.is_ill


@pytest.mark.parametrize(
    "changes",
    [
        {"event": "begun"}, {"name": 3}, {"message": None}, {"evidence": []}, {"remedies": "none"}, {"remedies": [1]},
        {"step": "1"}, {"name": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_finding_of_another_kind_is_none(tmp_path: Path, changes: dict) -> None:
    finding = {"step": 1, "name": "collapse", "event": "begins", "message": "m", "evidence": {"a": 1.0}, "remedies": []}
    write(tmp_path / "health.jsonl", [finding, {**finding, **changes}, {**finding, "evidence": {"a": "x", "b": 2}}])
    assert [dict(found.evidence) for found in read_findings(tmp_path)] == [{"a": 1.0}, {"b": 2}]


def test_a_run_of_a_million_lines_goes_on_with_what_the_doctor_knew(tmp_path: Path) -> None:
    """From the end of the log: open illnesses and the largest gradients are those of a doctor who saw all of it."""
    lines = []
    for number in range(1, 4_401):
        figures = WINS if 900 < number < 4_400 else WELL
        gradient = 5.0 if 300 < number < 600 else 1.0
        lines.append({"step": 10 * number, "": "x" * 4_000, **figures, "health/gradient_generator": gradient})
    write(tmp_path / "metrics.jsonl", lines)
    assert (tmp_path / "metrics.jsonl").stat().st_size > SMALL
    unbroken = Doctor(RECIPE)
    findings = unbroken.replay(lines)
    (tmp_path / "health.jsonl").write_text("".join(finding.to_json() + "\n" for finding in findings))
    resumed = Doctor(RECIPE)
    resumed.catch_up(tmp_path, 44_000)
    assert resumed.ill == unbroken.ill == ["discriminator_wins"]
    assert resumed._history.largest == unbroken._history.largest
    later = [{"step": 44_000 + 10 * number, **WELL} for number in range(1, 100)]
    assert resumed.replay(later) == unbroken.replay(later)
