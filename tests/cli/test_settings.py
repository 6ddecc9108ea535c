from pathlib import Path

import click
import pytest
from running import run

from baseline.cli.settings import Settings, name_environment_variables
from baseline.errors import UsageError

KNOWN = ("learn", "watch")


@click.command("watch")
@click.option("--fail-on")
@click.option("--from", "recordings", multiple=True)
@click.option("--keep", is_flag=True)
@click.option("--format", "form", default="text")
def watch(fail_on: str | None, recordings: tuple[str, ...], keep: bool, form: str) -> None:
    click.echo(f"{fail_on} {recordings} {keep} {form}")


def settings(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return Settings.read(file, KNOWN)


def test_options_are_named_as_on_the_command_line(tmp_path: Path) -> None:
    read = settings(
        tmp_path,
        """
        [watch]
        fail-on = "anomaly"
        from = ["one", "two"]
        keep = true
        format = "json"
        """,
    )
    assert read.defaults_for(watch) == {
        "fail_on": "anomaly",
        "recordings": ["one", "two"],
        "keep": True,
        "form": "json",
    }


def test_one_of_many_needs_no_brackets(tmp_path: Path) -> None:
    assert settings(tmp_path, '[watch]\nfrom = "one"').defaults_for(watch) == {
        "recordings": ["one"]
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[watch", "is not TOML"),
        ("[wacth]\nkeep = true", "'wacth' where a table of a command belongs"),
        ("keep = true", "'keep' where a table of a command belongs"),
        ("watch = 1", "'watch' where a table of a command belongs"),
        ("[watch]\nfail_on = 'anomaly'", "'fail_on' in [watch]"),
        ("[watch]\nfail-on = ['anomaly']", "is not a single value"),
        ("[watch.from]\na = 1", "is not a single value"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UsageError) as raised:
        settings(tmp_path, text).defaults_for(watch)
    assert problem in raised.value.problem
    assert str(tmp_path / "config.toml") in raised.value.problem


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read: No such file"):
        Settings.read(tmp_path / "none.toml", KNOWN)


def test_without_a_name_the_users_own_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("baseline.cli.settings.SYSTEM_FILE", tmp_path / "system.toml")
    assert Settings.read(None, KNOWN).tables == {}
    (tmp_path / "baseline").mkdir()
    (tmp_path / "baseline" / "config.toml").write_text("[watch]\nkeep = true")
    (tmp_path / "system.toml").write_text("[watch]\nkeep = false")
    assert Settings.read(None, KNOWN).tables == {"watch": {"keep": True}}
    (tmp_path / "baseline" / "config.toml").unlink()
    assert Settings.read(None, KNOWN).tables == {"watch": {"keep": False}}


def test_a_wrong_value_is_blamed_on_where_it_was_written(tmp_path: Path) -> None:
    wanted = ("watch", "--from", "none", "--models", "none")
    done = run(*wanted, BASELINE_WATCH_FORMAT="xml")
    assert done.returncode == 2
    assert "Invalid value for BASELINE_WATCH_FORMAT: 'xml'" in done.stderr
    settings = tmp_path / "config.toml"
    settings.write_text('[watch]\nformat = "xml"\n')
    done = run("--config", settings, *wanted)
    assert "Invalid value for format in [watch] of the settings file: 'xml'" in done.stderr
    done = run(*wanted, "--format", "xml")
    assert "Invalid value for '--format': 'xml'" in done.stderr


def test_environment_variables_are_named_as_on_the_command_line() -> None:
    name_environment_variables(watch)
    assert [p.envvar for p in watch.params] == [
        "BASELINE_WATCH_FAIL_ON",
        "BASELINE_WATCH_FROM",
        "BASELINE_WATCH_KEEP",
        "BASELINE_WATCH_FORMAT",
    ]


def test_a_variable_that_is_no_option_is_refused() -> None:
    wanted = ("watch", "--from", "none", "--models", "none")
    done = run(*wanted, BASELINE_WATCH_BUDGT="1/day")
    assert done.returncode == 2
    assert done.stderr == (
        "Error: BASELINE_WATCH_BUDGT in the environment is no option of watch. "
        "Use BASELINE_WATCH_BUDGET.\n"
    )
    done = run(*wanted, BASELINE_WATCH_="1/day")
    assert done.returncode == 2
    # What is of another command, or of none, does not matter.
    done = run(*wanted, BASELINE_LEARN_BUDGT="1/day", BASELINE_WATCHER="1")
    assert done.returncode == 1
