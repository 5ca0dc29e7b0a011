"""A program that is forked is the one that `python` would have started."""

import os
import signal
import sys
from pathlib import Path
from subprocess import TimeoutExpired

import pytest
import pythons

SEEN = """
import os, sys
print(sys.argv[1:], os.getcwd(), os.environ.get("MARK"), os.environ.get("GONE"), __name__)
print("beside", file=sys.stderr)
sys.exit(3)
"""


@pytest.mark.parametrize("way", ["code", "file", "module"])
def test_arguments_folder_environment_streams_and_code_are_the_programs_own(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONE", "yes")
    file = tmp_path / "a_program_of_the_test.py"
    file.write_text(SEEN)
    start = {"code": ("-c", SEEN), "file": (file,), "module": ("-m", file.stem)}[way]
    environment = {"PATH": os.environ["PATH"], "MARK": "mine"}
    done = pythons.run(*start, "a", 1, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (3, f"['a', '1'] {tmp_path} mine None __main__\n", "beside\n")


def test_an_exception_is_code_1_and_a_traceback() -> None:
    done = pythons.run("-c", "raise ValueError('as said')")
    assert done.returncode == 1
    assert "ValueError: as said" in done.stderr


def test_a_signal_reaches_it_as_it_would_reach_a_program() -> None:
    """Ctrl-C as well, where the tests run in the background of a shell that ignores it."""
    waits = "import signal, sys; print('up', flush=True); signal.pause()"
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 1)):
        process = pythons.start("-c", waits)
        while not process.out.read_text():
            assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) == code


def test_what_does_not_end_is_killed() -> None:
    with pytest.raises(TimeoutExpired):
        pythons.run("-c", "import signal; signal.pause()", timeout=0.1)


def test_torch_is_there_already_and_the_package_is_this_one() -> None:
    done = pythons.run("-c", "import sys; print('torch' in sys.modules); import ganforge; print(ganforge.__file__)")
    import ganforge

    assert done.stdout.split() == ["True", ganforge.__file__]
    assert "ganforge.training.session" in pythons.PRELOADED, sys.modules.keys()
