import click
import pytest

from baseline.cli.duration import seconds, window_seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60s", 60),
        ("10m", 600),
        ("1h30m", 5400),
        ("1d", 86_400),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("90", 90),
        ("0.5", 0.5),
    ],
)
def test_what_people_write(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "soon", "10 minutes", "-5s", "5s later", "1m30", "s", "nan", "inf", "1e3", "1:30"]
)
def test_nonsense_is_named(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no length of time"):
        seconds(text)


@pytest.mark.parametrize("text", ["0", "0s", "0h0m", "9" * 400])
def test_nothing_and_forever_are_no_lengths(text: str) -> None:
    with pytest.raises(click.BadParameter, match="Write 60s"):
        seconds(text)


def test_windows_too_short_to_be_kept_are_refused() -> None:
    assert window_seconds("10ms") == pytest.approx(0.01)
    assert window_seconds("1m") == 60
    with pytest.raises(click.BadParameter, match=r"^'9ms' is too short to be kept. Write 10ms"):
        window_seconds("9ms")
    with pytest.raises(click.BadParameter, match="is no length of time"):
        window_seconds("soon")
