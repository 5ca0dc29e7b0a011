"""What a page is made from, without a browser."""

import json
import re
import shutil

import pytest

from ganforge.errors import GanforgeError
from ganforge.report.facts import names_of, read_run
from ganforge.report.page import render, write_report
from ganforge.report.pictures import evenly
from ganforge.report.sections import metrics
from ganforge.report.thin import Series


def test_the_command_writes_one_file_that_asks_for_no_other(ganforge, run_folders, tmp_path):
    out = tmp_path / "new" / "report.html"
    outcome = ganforge("report", *run_folders.values(), "-o", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert "about usual, slow-d" in outcome.out
    page = out.read_text()
    assert re.findall(r"""(?:src|href)=["']?(?!data:|#)[^"'> ]+""", page) == []
    assert "http:" not in page
    assert "https:" not in page


def test_a_folder_that_is_no_run_is_refused_by_name(ganforge, tmp_path):
    outcome = ganforge("report", tmp_path)
    assert outcome.code == 2
    assert f"{tmp_path}: is not a run folder" in outcome.err


def test_a_page_that_cannot_be_written_says_so(run_folders, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GanforgeError, match=r"cannot be written.*`out=...`"):
        write_report([run_folders["usual"]], tmp_path / "file" / "report.html")


def test_a_run_that_has_only_begun_makes_a_page(run_folders, tmp_path):
    young = tmp_path / "young"
    young.mkdir()
    shutil.copy(run_folders["usual"] / "recipe.resolved.toml", young)
    page = render([read_run(young, "young")], most_pictures=4)
    assert "0 of 300" in page
    assert page.lower().count("nothing to judge yet") == 2
    assert "nothing wrong found" not in page.lower()
    assert 'id="charts"' not in page.split("<script")[0]


def test_a_run_without_log_lines_is_as_far_as_its_checkpoint(run_folders, tmp_path, ganforge):
    quiet = tmp_path / "quiet"
    shutil.copytree(run_folders["usual"], quiet)
    for name in ("metrics.jsonl", "health.jsonl"):
        (quiet / name).write_text("")
    assert read_run(quiet, "quiet").last_step == 300
    assert "nothing to judge yet" in ganforge("doctor", quiet).out
    assert "nothing wrong found" in ganforge("doctor", run_folders["usual"]).out


def test_text_of_a_run_cannot_leave_its_place(run_folders, tmp_path):
    """A recipe or a figure's name is text, whatever it says."""
    evil = tmp_path / "evil"
    shutil.copytree(run_folders["usual"], evil)
    recipe = evil / "recipe.resolved.toml"
    recipe.write_text(recipe.read_text() + "\n# <script>alert(1)</script><!--data-->\n")
    with (evil / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 301, "</script><b>": 1.0, "generator/loss": 1.0}) + "\n")
    page = render([read_run(evil, "<i>evil</i>")], most_pictures=1)
    assert page.count("<script>") == 1
    assert page.count("</script>") == 2
    assert "<i>evil" not in page
    assert (
        json.loads(page.split('type="application/json">')[1].split("</script>")[0])["runs"][0]["name"] == "<i>evil</i>"
    )


ODD_RECIPES = ["", "training = 3", 'training = { steps = "9", batch_size = [] }', "seed = []\ntraining = { steps = 0 }"]


@pytest.mark.parametrize("recipe", ODD_RECIPES)
def test_a_recipe_of_another_kind_leaves_its_figures_unknown(run_folders, tmp_path, recipe, ganforge):
    odd = tmp_path / "odd"
    shutil.copytree(run_folders["usual"], odd)
    (odd / "recipe.resolved.toml").write_text(recipe)
    outcome = ganforge("report", odd, run_folders["usual"], "-o", tmp_path / "report.html")
    assert (outcome.code, outcome.err) == (0, "")
    assert read_run(odd, "odd").last_step == 300


@pytest.mark.parametrize("recipe", [b"\xff", b"steps 3", b"a = " + b"[" * 500, "é = 1".encode("utf-16")])
def test_a_recipe_that_cannot_be_read_is_told_in_a_line(run_folders, tmp_path, recipe, ganforge):
    odd = tmp_path / "odd"
    shutil.copytree(run_folders["usual"], odd)
    (odd / "recipe.resolved.toml").write_bytes(recipe)
    for command in ("report", "doctor"):
        outcome = ganforge(command, odd)
        assert outcome.code == 2
        assert len(outcome.err.splitlines()) == 1
        assert f"{odd / 'recipe.resolved.toml'}: " in outcome.err


def test_what_cannot_be_read_is_left_out_and_said(run_folders, tmp_path, ganforge):
    odd = tmp_path / "odd"
    shutil.copytree(run_folders["usual"], odd)
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        with (odd / name).open("ab") as file:
            file.write(b'{"step": "\xff"}\n[1]\n{"step": true}\n')
    (odd / "samples" / "step-00000100.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (odd / "samples" / "step-00000200.png").write_bytes((odd / "samples" / "step-00000300.png").read_bytes()[:-200])
    (odd / "samples" / "step-last.png").write_bytes(b"")
    outcome = ganforge("report", odd, "-o", tmp_path / "report.html")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.strip().endswith(
        "left out of odd: 3 damaged lines of metrics.jsonl, 3 damaged lines of evaluations.jsonl, 2 sample grids"
    )


@pytest.mark.parametrize(
    "value", [None, True, "x", [], {}, [1], [{"name": 3}], 10**30, 1e300, {"fakes": 3, "reals": []}]
)
def test_an_evaluation_and_a_checkpoint_of_another_kind_are_shown(run_folders, tmp_path, value, ganforge):
    odd = tmp_path / "odd"
    shutil.copytree(run_folders["usual"], odd)
    last = json.loads((odd / "evaluations.jsonl").read_text().splitlines()[-1])
    changes = [{"protocol": value}, {"figures": value}, {"figures": {"modes": value}}, {"by": value}, {"step": value}]
    changes += [{"protocol": {**last["protocol"], key: value}} for key in last["protocol"]]
    with (odd / "evaluations.jsonl").open("a") as file:
        file.writelines(json.dumps({**last, **change}) + "\n" for change in changes)
    path = max(odd.glob("checkpoints/*/checkpoint.json"))
    state = json.loads(path.read_text())
    for key in state:
        path.write_text(json.dumps({**state, key: value}))
        assert "The recipes are the same" in render([read_run(odd, "odd"), read_run(odd, "again")], most_pictures=1)
    path.write_text(json.dumps(value))
    assert ganforge("report", odd, "-o", tmp_path / "report.html").code == 0


def test_metrics_come_with_their_protocol_and_without_the_file_from_the_log(run_folders, tmp_path):
    run = read_run(run_folders["usual"], "usual")
    assert [evaluation.step for evaluation in run.evaluations] == [100, 200, 300]
    assert run.evaluations[-1].protocol["num_fakes"] == 200
    old = tmp_path / "old"
    shutil.copytree(run_folders["usual"], old)
    (old / "evaluations.jsonl").unlink()
    again = read_run(old, "old")
    assert [evaluation.figures for evaluation in again.evaluations] == [
        evaluation.figures for evaluation in run.evaluations
    ]
    assert again.evaluations[-1].protocol == {}


def test_evaluations_stand_by_step_with_their_generator_and_what_makes_them_another_measure(run_folders, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run_folders["usual"], copy)
    path = copy / "evaluations.jsonl"
    path.write_text(path.read_text().replace('"extractor": null', '"extractor": {"name": "inception-v3-compat"}'))
    last = json.loads(path.read_text().splitlines()[-1])
    evaluated = {**last, "by": "ganforge evaluate"}
    lines = []
    for step, generator, changes in (
        (300, "generator.best.safetensors", {"metrics": [*last["protocol"]["metrics"], {"name": "fid"}]}),
        (200, "checkpoints/step-00000200", {"num_fakes": 50, "extractor": {"name": "clip"}}),
        (100, "generator.last.safetensors", {"metrics": [{"name": "modes", "within": 9}]}),
    ):
        protocol = {**last["protocol"], **changes, "fakes": {"generator": generator, "step": step, "seed": 0}}
        lines.append(json.dumps({**evaluated, "step": step, "protocol": protocol}) + "\n")
    with path.open("a") as file:
        file.writelines(lines)
    page = metrics([read_run(copy, "copy")])
    rows = [
        re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page.split("</table>")[0])
    ]
    assert [(row[0], row[1], row[2], row[-1]) for row in rows] == [
        ("step", "of", "by", "another protocol"),
        ("100", "averaged", "training", ""),
        ("100", "last", "ganforge evaluate", "modes"),
        ("200", "averaged", "training", ""),
        ("200", "checkpoint (averaged)", "ganforge evaluate", "extractor, number of fakes"),
        ("300", "averaged", "training", ""),
        ("300", "best", "ganforge evaluate", ""),
    ]
    assert "another protocol" not in metrics([read_run(run_folders["usual"], "usual")])


def test_a_long_curve_keeps_its_spikes_its_ends_and_few_points():
    steps = list(range(10_000))
    values = [0.0] * 10_000
    values[1234], values[8765] = 50.0, -50.0
    thin = Series(steps, values).thinned(400)
    assert len(thin.steps) <= 402
    assert {50.0, -50.0} <= set(thin.values)
    assert (thin.steps[0], thin.steps[-1]) == (0, 9999)
    assert thin.steps == sorted(thin.steps)


def test_names_grow_only_as_far_as_they_must(tmp_path):
    assert names_of([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert names_of([tmp_path / "x" / "a", tmp_path / "y" / "a"]) == ["x/a", "y/a"]


def test_pictures_are_chosen_evenly_with_both_ends():
    assert evenly([0, 1, 2, 3, 4], 3) == [0, 2, 4]
    assert evenly([0, 1], 5) == [0, 1]
    assert evenly([3, 4, 5], 1) == [5]
