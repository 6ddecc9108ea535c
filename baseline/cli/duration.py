"""Lengths of time as people write them: ``60s``, ``10m``, ``1h30m``, ``0.5``."""

import re

import click

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"\d+(?:\.\d+)?"
_PART = re.compile(rf"({_NUMBER})(ms|[dhms])")
_WHOLE = re.compile(rf"(?:{_NUMBER}(?:ms|[dhms]))+")

SHORTEST_WINDOW = 0.01
"""Seconds; a watch of one workload on two processors keeps these, and does not keep 1 ms."""


def seconds(text: str) -> float:
    """Type of an option: seconds of ``60s``, ``10m``, ``1h30m``, ``250ms`` or a plain number.

    Raises:
        click.BadParameter: it is none, or not above zero.
    """
    text = str(text)  # a number where it comes from the settings file
    if re.fullmatch(_NUMBER, text):
        length = float(text)
    elif _WHOLE.fullmatch(text):
        length = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    else:
        raise click.BadParameter(f"{text!r} is no length of time. Write 60s, 10m or 1h30m.")
    if not 0 < length < float("inf"):
        raise click.BadParameter(f"{text!r} is not above zero. Write 60s, 10m or 1h30m.")
    return length


def window_seconds(text: str) -> float:
    """The same of a window, which cannot be shorter than ``SHORTEST_WINDOW``.

    Raises:
        click.BadParameter: it is none, or too short.
    """
    length = seconds(text)
    if length < SHORTEST_WINDOW:
        raise click.BadParameter(
            f"{text!r} is too short to be kept. Write {SHORTEST_WINDOW * 1000:g}ms or longer."
        )
    return length
