"""The page as a reader has it: opened in a browser without a network, at the width of a desk and of a phone."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


@pytest.fixture(scope="module")
def page_of_two(run_folders, tmp_path_factory):
    from ganforge.report.page import write_report

    out = tmp_path_factory.mktemp("page") / "report.html"
    write_report([run_folders["usual"], run_folders["slow-d"]], out)
    return out


@pytest.fixture
def opened(browser, page_of_two):
    """Open the page at a size; fails on errors of its script and on anything that it asks the network for."""
    contexts = []
    troubles = []

    def open_page(size=(1280, 900), scheme="light", path=page_of_two):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or troubles.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("#charts svg path", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


def test_a_reader_finds_runs_findings_metrics_with_protocol_differences_recipe_and_versions(opened):
    page = opened()
    text = page.inner_text("body")
    shown = ("usual", "slow-d", "300 of 300", "Nothing wrong found", "generator wins", "What helps", "images a second")
    deeper = (
        "optimizer.discriminator.lr",
        "good_points",
        "num_fakes",
        "differs",
        "1e-06",
        "torch",
        "newest checkpoint",
    )
    html = page.content()
    assert [wanted for wanted in shown if wanted not in text] == []
    assert [wanted for wanted in deeper if wanted not in html] == []
    assert "generator.betas" not in text.split("differs")[1].split("recipe.resolved.toml")[0]  # is the same in both


def test_the_slider_shows_the_samples_of_its_step(opened):
    page = opened()
    images = page.locator(".pictures img")
    assert images.count() == 2
    last = [images.nth(number).get_attribute("src") for number in range(2)]
    assert page.inner_text("output") == "step 300"
    page.focus("#when")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert page.inner_text("output") == "step 0"
    first = [images.nth(number).get_attribute("src") for number in range(2)]
    assert all(before != after for before, after in zip(last, first, strict=True))
    assert "step 0" in page.inner_text(".pictures figure >> nth=1")
    assert images.nth(0).evaluate("image => image.complete && image.naturalWidth > 0")
    page.click("#play")
    page.locator("output", has_text="step 300").wait_for()


def test_curves_of_both_runs_are_drawn_and_can_be_hidden_rescaled_and_read(opened):
    page = opened()
    losses = page.locator(".chart", has_text="Losses").first
    assert losses.locator("path").count() == 4  # two players in two runs
    before = losses.locator("path").first.get_attribute("d")
    page.get_by_role("button", name="log").click()
    assert losses.locator("path").first.get_attribute("d") != before
    page.get_by_role("button", name="images", exact=True).click()
    losses.locator(".plot svg").hover(position={"x": 300, "y": 80})
    assert re.search(r"images [\d,]+\s*usual D loss: [\d.]+", losses.locator(".tip").inner_text())
    page.get_by_role("button", name="slow-d").click()
    assert losses.locator("path").count() == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_the_page_fits_its_window_in_light_and_dark(opened, tmp_path, width, scheme):
    page = opened(SIZES[width], scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[width][0]
    picture = tmp_path / "page.png"
    page.screenshot(path=picture)
    assert (corner(picture) < 60) == (scheme == "dark")
    page.click("#theme")
    page.screenshot(path=picture)
    assert (corner(picture) < 60) == (scheme == "light")


def test_a_page_about_one_run_holds_a_line_for_each_class_and_no_empty_chart(opened, run_folders, tmp_path):
    from ganforge.report.page import write_report

    out = tmp_path / "one.html"
    write_report([run_folders["usual"]], out)
    page = opened(path=out)
    classes = page.locator(".chart", has_text="look like each class")
    assert classes.locator("path").count() == 8
    assert page.locator(".chart:visible").count() == page.locator(".plot svg").count()


def test_ten_classes_and_ten_runs_have_ten_lines_that_can_be_told_apart(opened, run_folders, tmp_path):
    from ganforge.report.page import write_report

    ten = tmp_path / "ten"
    shutil.copytree(run_folders["usual"], ten)
    with (ten / "metrics.jsonl").open("a") as file:
        for step in (301, 302):
            file.write(
                json.dumps({"step": step, **{f"health/class_{label}": label / 10 for label in range(10)}}) + "\n"
            )
    runs = [ten]
    for number in range(1, 10):
        runs.append(tmp_path / f"run-{number}")
        shutil.copytree(ten, runs[-1])
    looks = "paths => paths.map(path => path.style.stroke + path.getAttribute('stroke-dasharray'))"
    for number, chart, count in ((1, "look like each class", 10), (10, "Losses", 20)):
        write_report(runs[:number], tmp_path / "page.html")
        drawn = opened(path=tmp_path / "page.html").locator(".chart", has_text=chart).first
        assert len(set(drawn.locator("path").evaluate_all(looks))) == count


def corner(picture: Path) -> Any:
    """How bright it is there, from 0 to 255."""
    return Image.open(picture).convert("L").getpixel((2, 2))
