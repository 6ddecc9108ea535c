"""Text that a terminal may be given."""


def printable(text: str) -> str:
    r"""The text with everything that a terminal could obey written out: ``\x1b[2J``.

    Names of programs, threads and cgroups are chosen by the workload, thus by an intruder.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
