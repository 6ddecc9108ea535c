import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
import pytest
from running import BASELINE, ENVIRONMENT, run

from baseline import __version__
from baseline.cli.main import COMMANDS, exit_code
from baseline.errors import KernelError, UsageError


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("BASELINE_DEBUG", "")


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A command ``probe`` whose ``body`` each test chooses."""
    module = ModuleType("baseline.cli.probe")

    @click.command("probe")
    @click.option("--value", default="none")
    @click.pass_context
    def command(context: click.Context, value: str) -> None:
        module.body(context, value)

    module.command = command  # type: ignore[attr-defined]  # made up here
    monkeypatch.setitem(sys.modules, "baseline.cli.probe", module)
    monkeypatch.setitem(COMMANDS, "probe", "Probe.")
    return module


def fail_with(error: BaseException) -> object:
    def body(*_: object) -> None:
        raise error

    return body


def test_help_names_every_command_and_fits_80_columns() -> None:
    shown = run("--help")
    width = max(map(len, COMMANDS))
    for name, text in COMMANDS.items():
        assert f"  {name:{width}}  {text}\n" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert shown.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_its_help_fits_80_columns(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = import_module(f"baseline.cli.{name}").command
    assert command.name == name
    assert exit_code([name, "-h"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: baseline {name} ")
    assert max(map(len, shown.splitlines())) <= 80
    for parameter in command.params:
        assert not isinstance(parameter, click.Option) or parameter.help


def test_help_imports_no_numbers() -> None:
    script = (
        "import sys; from baseline.cli.main import exit_code; exit_code(['--help'])\n"
        "sys.exit(','.join({'numpy', 'pyarrow', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("program", [[BASELINE], [sys.executable, "-m", "baseline"]])
@pytest.mark.parametrize("module", ["click", "numpy"])
def test_ctrl_c_in_the_first_moments_just_ends_it(
    program: list[object], module: str, tmp_path: Path
) -> None:
    """Wherever imports are: those of the command line, or those of a command."""
    (tmp_path / f"{module}.py").write_text("print('importing', flush=True)\nwhile True: pass\n")
    with subprocess.Popen(
        [*map(str, program), "learn"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate() == ("", "")
        assert process.returncode == -signal.SIGINT


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["--version"]) == 0
    assert capsys.readouterr().out == f"baseline, version {__version__}\n"


def test_an_unknown_command_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["wacth"]) == 2
    assert "No such command 'wacth'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("No", "Do that"), 2), (KernelError("No", "Do that"), 1)],
)
def test_errors_are_a_sentence_and_a_way_out(
    probe: ModuleType, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    probe.body = fail_with(error)
    assert exit_code(["probe"]) == code
    assert capsys.readouterr() == ("", "Error: No. Do that.\n")


def test_a_bug_is_one_line_unless_asked(
    probe: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    probe.body = fail_with(ZeroDivisionError("oh"))
    assert exit_code(["probe"]) == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "ZeroDivisionError: oh. This is a bug" in shown
    assert "baseline --debug" in shown

    assert exit_code(["--debug", "probe"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_debugging_by_environment(
    probe: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    probe.body = fail_with(ZeroDivisionError("oh"))
    monkeypatch.setenv("BASELINE_DEBUG", "1")
    assert exit_code(["probe"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_no_error(probe: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    probe.body = fail_with(KeyboardInterrupt())
    assert exit_code(["probe"]) == 128 + signal.SIGINT
    assert capsys.readouterr().err.strip() == ""


def test_a_command_chooses_its_exit_code(probe: ModuleType) -> None:
    probe.body = lambda context, _: context.exit(3)
    assert exit_code(["probe"]) == 3


def test_where_options_come_from(
    probe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = []
    probe.body = lambda _, value: values.append(value)
    config = tmp_path / "settings.toml"
    config.write_text('[probe]\nvalue = "file"')
    arguments = [[], ["--config", str(config)]]
    assert [exit_code([*a, "probe"]) for a in arguments] == [0, 0]
    monkeypatch.setenv("BASELINE_CONFIG", str(config))
    assert exit_code(["probe"]) == 0
    monkeypatch.setenv("BASELINE_PROBE_VALUE", "environment")
    assert exit_code(["probe"]) == 0
    assert exit_code(["probe", "--value", "line"]) == 0
    assert values == ["none", "file", "file", "environment", "line"]


def test_an_unknown_key_is_wrong_use(
    probe: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe.body = fail_with(AssertionError("must not run"))
    (tmp_path / "settings.toml").write_text('[probe]\nvalu = "file"')
    assert exit_code(["--config", str(tmp_path / "settings.toml"), "probe"]) == 2
    assert "'valu' in [probe]" in capsys.readouterr().err


def test_sigterm_leaves_nothing_behind(tmp_path: Path) -> None:
    """A command that has nothing to keep still ends by way of its clean-up."""
    script = f"""
import sys, time, types, click
from pathlib import Path
from baseline.cli import main
from baseline.durable import new_directory

@click.command("probe")
def command():
    with new_directory(Path({str(tmp_path / "out")!r})):
        print("started", flush=True)
        time.sleep(3600)

sys.modules["baseline.cli.probe"] = types.SimpleNamespace(command=command)
main.COMMANDS["probe"] = "Probe."
sys.argv[1:] = ["probe"]
main.run()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    process.terminate()
    assert process.communicate()[1] == ""
    assert process.returncode == 128 + signal.SIGTERM
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - the hidden ones too
