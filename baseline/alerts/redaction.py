"""Secrets are taken out of a workload's own words before anything is written.

Command lines, names of programs and of threads are chosen by the workload, and passwords are among
them.  Alerts go to terminals, files and ticket systems; there each secret is ``[redacted]``.

A secret is known by what stands before it (a flag, a name, a header, a URL's user) or by its own
shape (tokens of well-known services, :mod:`baseline.alerts.secret_shapes`).  In doubt it is taken
out, but paths, hosts, digests and plain options stay: they are what an operator needs.  Texts may
be cut anywhere, so the beginning of a secret is one.

Libraries that search source code for secrets do not know command lines: of the forms in the tests'
table, detect-secrets 1.5 names the shapes alone, and neither ``mysql -pX``, ``curl -u``,
``--token X`` nor a header.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from baseline.alerts.secret_shapes import REDACTED, is_secret, redact_shapes

_DEEPEST = 4
"""Command lines within command lines that are taken apart: ``sh -c "sh -c '...'"``."""

_LONGEST_NAME = 64

_PUNCTUATION = "\"'[](){},;"
"""What stands around a word in a program's text: ``run(["mysql", "-pX"])``."""

# Option -> programs whose secret it takes.  "login" stands for the many with such a command.
_SECRET_OPTIONS = {
    "-p": re.compile(
        r"mysql\w*|mariadb[\w-]*|mydumper|sshpass|mongo\w*|7z\w*|login|winexe|az|keytool|lftp"
    ),
    "-pw": re.compile(r"plink|pscp|psftp|putty"),
    "-a": re.compile(r"(?:redis|valkey|keydb)-\w+"),
    "-w": re.compile(r"ldap\w+"),
    "-P": re.compile(r"zip|unzip|zipcloak|ipmitool"),
    "-k": re.compile(r"openssl"),
    "-K": re.compile(r"openssl"),
}
# Option -> programs of which it takes a user, a separator and the secret.
_USER_OPTIONS = {
    "-u": re.compile(r"curl|https?|xhs?|lftp"),
    "-U": re.compile(r"curl|smbclient|rpcclient|net|winexe"),
    "--user": re.compile(r"curl|smbclient|rpcclient"),
    "--proxy-user": re.compile(r"curl"),
}
# Option -> programs that run the word after it: what is assigned first there does not end with it.
_INTERPRETERS = re.compile(
    r"\w{0,2}sh|busybox|su|runuser|(?:python|perl|ruby|php|lua)[\d.]*|node|awk"
)
_SCRIPT_OPTIONS = dict.fromkeys(("-c", "-e", "-E"), _INTERPRETERS)

_ASSIGNMENT = re.compile(r"(-{0,2}([A-Za-z_][\w.-]*)=)(.*)", re.DOTALL)
_LONG_OPTION = re.compile(r"(?:--|-(?=\w{4}))([A-Za-z][\w.-]*)")
_USER = re.compile(r"([^:%]*[:%])(.+)", re.DOTALL)
_WORD = re.compile(
    r"""(?:"(?:\\.|[^"\\])*(?:"|\\?$)|'[^']*(?:'|$)|\\.|[^\s;|&'"\\])+|\\$""", re.DOTALL
)
_QUOTED_PART = re.compile(r"""\"(?:\\.|[^"\\])*(?:"|\\?$)|'[^']*(?:'|$)""", re.DOTALL)
_QUOTED = re.compile(r"""(["'])((?:\\.|(?!\1)[^\\])*\\?)(\1?)""", re.DOTALL)


def redact(text: str) -> str:
    """A text without the secrets in it; doing it again changes nothing."""
    return _redact_word(text, "", (), 0)


def redact_arguments(
    arguments: Sequence[str], programs: Iterable[str] = (), *, is_cut: bool = False
) -> tuple[str, ...]:
    """A command line without the secrets in it.

    Args:
        arguments: as the program got them, its own name first.
        programs: other names that the program goes by; the first argument may be anything.
        is_cut: the last argument may be incomplete.
    """
    # Any word may be the program whose options follow: sudo mysql, env X=1 mysql.
    names = [*map(_name, programs)]
    shown: list[str] = []
    before = ""
    for argument in arguments:
        shown.append(_redact_word(argument, before, names, 0))
        names.append(_name(argument))
        # What held a secret itself is no option that waits for one: -pRIVATEKEY is no -privatekey.
        before = argument if shown[-1] == argument else ""
    if is_cut and shown:
        # A URL's password is known by the "@" behind it, which may be what was cut off.
        shown[-1] = redact(f"{shown[-1]}@").removesuffix("@")
    return tuple(shown)


def _redact_word(word: str, before: str, names: Sequence[str], depth: int) -> str:
    """One word of a command line, the word before it, and the programs named so far."""
    if _takes(_SECRET_OPTIONS, before, names) or _takes_secret(before, word):
        return REDACTED
    if _takes(_USER_OPTIONS, before, names):
        return _redact_user(word)
    for options, hide in ((_SECRET_OPTIONS, lambda _: REDACTED), (_USER_OPTIONS, _redact_user)):
        for option in options:
            value = word.removeprefix(option)
            if value and value != word and _takes(options, option, names):
                return option + hide(value)
    assignment = _ASSIGNMENT.fullmatch(word)
    if assignment and not _takes(_SCRIPT_OPTIONS, before, names):
        prefix, name, value = assignment.groups()
        if is_secret(name, value):
            return f"{prefix}{REDACTED}"
        if "=" in value and depth < _DEEPEST:
            return prefix + _redact_word(value, "", names, depth + 1)
    word = redact_shapes(word)
    return _redact_script(word, names, depth) if depth < _DEEPEST else word


def _redact_script(script: str, programs: Sequence[str], depth: int) -> str:
    """The words of what may be a command line or a program of its own, as after ``sh -c``."""
    names = [*programs]
    words = list(_WORD.finditer(script))
    if len(words) == 1 and words[0][0] == script and not _QUOTED.fullmatch(script):
        words = list(_QUOTED_PART.finditer(script))
    shown: list[str] = []
    before, end = "", 0
    for match in words:
        quoted = _QUOTED.fullmatch(match[0])
        opening, word, closing = quoted.groups() if quoted else ("", match[0], "")
        redacted = _redact_word(word, before, names, depth + 1)
        shown += [script[end : match.start()], opening, redacted, closing]
        before, end = word.strip(_PUNCTUATION) if redacted == word else "", match.end()
        names.append(_name(word.strip(_PUNCTUATION)))
    return "".join([*shown, script[end:]])


def _takes_secret(option: str, value: str) -> bool:
    long = _LONG_OPTION.fullmatch(option)
    return long is not None and is_secret(long[1], value)


def _takes(options: Mapping[str, re.Pattern[str]], option: str, names: Sequence[str]) -> bool:
    """Whether it is one of these options of a program named; ``-sku`` ends in ``-u``."""
    if option not in options and re.fullmatch(r"-[A-Za-z]{2,4}", option):
        option = f"-{option[-1]}"
    return option in options and any(map(options[option].fullmatch, names))


def _redact_user(value: str) -> str:
    """``user:secret`` or ``user%secret``; a user alone is no secret."""
    return _USER.sub(rf"\1{REDACTED}", value)


def _name(word: str) -> str:
    names = re.findall(r"[\w.+-]+", word[-_LONGEST_NAME:])
    return names[-1] if names else ""
