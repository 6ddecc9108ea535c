"""What options are given, on the command line or in a file: a value or a refusal."""

from math import isfinite
from pathlib import Path

import click
import pytest
from fuzzing import changed_bytes, fuzzed, refusal_of
from hypothesis import given
from hypothesis import strategies as st

from baseline.cli import duration
from baseline.cli.main import COMMANDS, main
from baseline.cli.settings import Settings
from baseline.errors import UsageError
from baseline.model.budget import Budget

SETTINGS = b"""[watch]
models = "models"
from = ["one", "two"]
fail-on = "anomaly"
keep = true
pace = 1.5
verify = ["key.pub"]

[learn]
duration = 60
until-stable = false
"""

numbers = st.from_regex(r"[0-9]{1,400}(\.[0-9]{1,400})?", fullmatch=True)


@given(changed_bytes(SETTINGS) | st.binary(max_size=99) | st.just(b"a = " + b"[" * 10**5))
@fuzzed(300)
def test_any_settings_are_defaults_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "config.toml"
    file.write_bytes(content)
    context = click.Context(main)

    def use() -> None:
        settings = Settings.read(file, COMMANDS)
        for name in settings.tables:
            command = main.get_command(context, name)
            assert command
            assert isinstance(settings.defaults_for(command), dict)

    refusal_of(use, UsageError)


def test_settings_that_never_end_are_refused() -> None:
    assert refusal_of(lambda: Settings.read(Path("/dev/zero"), COMMANDS), UsageError)


durations = st.one_of(
    st.text(max_size=20),
    st.text("0123456789.hmsd ", max_size=20),
    st.tuples(numbers, st.sampled_from(["", "s", "m", "ms", "d"])).map("".join),
    st.sampled_from(["9" * 5000 + "d", "1s" * 2000, "٣s", "1e9", "inf", "nan", "-1", "0"]),
)


@given(durations)
@fuzzed(300)
def test_any_duration_is_seconds_or_refused(text: str) -> None:
    try:
        length = duration.seconds(text)
    except click.BadParameter:
        return
    assert isfinite(length)
    assert length > 0


budgets = st.one_of(
    st.text(max_size=20),
    st.tuples(numbers, st.just("/"), st.sampled_from(["minute", "week", "year"])).map("".join),
    st.sampled_from([f"0.{'0' * 322}5/year", f"{'9' * 308}/minute", "1/fortnight", "/week"]),
)


@given(budgets)
@fuzzed(300)
def test_any_budget_is_a_rate_or_refused(text: str) -> None:
    def use() -> None:
        budget = Budget.parse(text)
        assert isfinite(budget.per_second)
        assert budget.per_second > 0
        assert str(budget)

    refusal_of(use, UsageError)
