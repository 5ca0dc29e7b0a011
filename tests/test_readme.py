"""What the README prints is what the program prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def ours(table: str) -> list[str]:
    """Rows of ganforge's own parts: what torch.optim has depends on torch."""
    return [line for line in table.strip().splitlines() if "as torch.optim." not in line]


def test_the_table_of_parts_is_what_list_prints():
    # In a process of its own, since other tests register parts here.
    done = subprocess.run(
        [sys.executable, "-m", "ganforge", "list", "--markdown"],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    _, table, _ = README.replace("<!-- /parts -->", "<!-- parts -->").split("<!-- parts -->")
    assert ours(table) == ours(done.stdout)
    assert "| penalty | `r1` |" in table


def test_the_generator_that_the_readme_writes_passes_the_tests_that_it_names(tmp_path):
    block = next(code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if '"tiny"' in code)
    (tmp_path / "my_gan.py").write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ganforge-plugin", "my_gan"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
