"""What secrets look like, and what they are called."""

import math
import re
from collections import Counter
from collections.abc import Callable

REDACTED = "[redacted]"

_LEAST_RANDOM_LENGTH = 16
_LEAST_RANDOM_BITS = 3.0
_LEAST_MIXED_BITS = 4.2
"""Bits of entropy a character: 4.6 is what a random key of 40 characters has, English has 4."""

# Names whose value is a secret, whatever it looks like.
_SECRET = re.compile(
    r"pass$|pass(?:wor[dt]|wd|phrase|code|in$|out$)|pwd|secret|token|credential|webhook"
    r"|(?:api|access|account|private|encrypt(?:ion)?|sign(?:ing)?|master|ssh|hmac|aes)[-_.]?key"
    r"|auth(?:orization|entication|data)?$",
    re.IGNORECASE,
)
# Names whose value is one if it looks random.
_PERHAPS_SECRET = re.compile(
    r"key|auth|sess|cookie|sig(?:nature)?|salt|seed|code|nonce|jwt|licen[cs]e", re.IGNORECASE
)
# Names that speak of a secret whose value is elsewhere.
_HARMLESS = re.compile(
    r"^(?:no|ask|prompt|max|min|num)[-_.]|tokeni[sz]e"
    r"|(?:file|path|dir|ttl|ur[li]|type|name|length|limit|size|count|policy|prompt|stdin|fd)$",
    re.IGNORECASE,
)
_FOLDERS = {"PWD", "OLDPWD"}


def is_secret(name: str, value: str) -> bool:
    """Whether the value that has this name is a secret."""
    if not value or _HARMLESS.search(name) or (name in _FOLDERS and value.startswith("/")):
        return False
    if _SECRET.search(name):
        return True
    return _PERHAPS_SECRET.search(name) is not None and _is_random(value)


def redact_shapes(text: str) -> str:
    """A text without what looks like a secret by itself."""
    for pattern, replace in _SHAPES:
        text = pattern.sub(replace, text)
    return text


def _is_random(text: str) -> bool:
    """Whether a machine may have drawn it: no path, and no words."""
    if len(text) < _LEAST_RANDOM_LENGTH or text.startswith(("/", "./", "~")):
        return False
    if any(map(str.isspace, text)) or not any(map(str.isdigit, text)):
        return False
    return _entropy(text) >= _LEAST_RANDOM_BITS


def _entropy(text: str) -> float:
    """Shannon's entropy of a text's characters, in bits a character."""
    counts = Counter(text).values()
    return -math.fsum(n / len(text) * math.log2(n / len(text)) for n in counts)


def _whole(match: re.Match[str]) -> str:
    return REDACTED


def _after_first_group(match: re.Match[str]) -> str:
    return match[1] + REDACTED


def _by_name(match: re.Match[str]) -> str:
    return match[1] + REDACTED if is_secret(match["name"], match["value"]) else match[0]


def _if_mixed(match: re.Match[str]) -> str:
    kinds = (str.isdigit, str.isupper, str.islower)
    is_key = all(any(map(kind, match[0])) for kind in kinds)
    return REDACTED if is_key and _entropy(match[0]) >= _LEAST_MIXED_BITS else match[0]


_AT_WORD = "(?<![A-Za-z0-9])"
_NAME = r"(?P<name>[A-Za-z_][\w.-]*)"

_CONTEXTS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    # A URL's password may hold anything, but what looks like a port is one.
    (r"(://[^\s/:@\"'\[]*:)(?!\d{1,5}(?:[/?#\s\"']|$))[^\s\"']*(?=@)", _after_first_group),
    (
        r"(://)(?=[^\s/:@\"']*\d)(?=[^\s/:@\"']*[A-Za-z])[^\s/:@\"'\[]{20,}(?=@)",
        _after_first_group,
    ),
    (
        r"(?i)(\b(?:proxy-)?authorization[\"']?\s*[:=]\s*)[^\s\"'\[][^\"'\r\n]*",
        _after_first_group,
    ),
    (r"(?i)(\b(?:set-)?cookie:\s*)[^\s\"'\[][^\"'\r\n]*", _after_first_group),
    (r"(?i)(\b(?:bearer|basic)[\s:]+)[A-Za-z0-9+/._~=-]{6,}", _after_first_group),
    # JSON, YAML, headers; names and values in URLs and forms.
    (rf"(\"{_NAME}\"\s*:\s*\")(?P<value>(?:\\.|[^\"\\\[])(?:\\.|[^\"\\])*)", _by_name),
    (rf"(\"{_NAME}\"\s*:\s*)(?P<value>[^\s\"',}}\[][^\s\"',}}]*)", _by_name),
    (
        rf"(?i)((?=x-|api-?key|(?:private|job|deploy)-token)\b{_NAME}\s*:\s*)"
        r"(?P<value>[^\s\"'\[][^\"'\r\n]*)",
        _by_name,
    ),
    (rf"(\b{_NAME}:\s+)(?P<value>[^\s\"'\[][^\"'\r\n]*)", _by_name),
    (rf"(?<![\w.-])(-{{0,2}}{_NAME}=)(?P<value>[^\s&;\"'\[][^\s&;\"']*)", _by_name),
    (r"(\bhooks\.slack\.com/(?:services|workflows)/)[\w/-]+", _after_first_group),
)
_TOKENS = (
    r"-----BEGIN[A-Z ]*PRIVATE KEY.*?(?:-----END[A-Z ]*PRIVATE KEY(?:-----)?|$)",
    rf"{_AT_WORD}A(?:KIA|SIA|BIA|CCA)[0-9A-Z]{{6,}}",  # AWS
    rf"{_AT_WORD}(?:gh[pousr]_\w{{6,}}|github_pat_\w+)",  # GitHub
    rf"{_AT_WORD}gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt)-[\w.-]{{6,}}",  # GitLab
    rf"{_AT_WORD}x(?:ox[a-z]|app)-[\w.-]{{6,}}",  # Slack
    rf"{_AT_WORD}(?:AIza|ya29\.|GOCSPX-)[\w-]{{6,}}",  # Google
    rf"{_AT_WORD}[rs]k_(?:live|test)_\w{{6,}}",  # Stripe
    rf"{_AT_WORD}sk-(?:(?:ant|proj|svcacct)-[\w-]{{4,}}|(?=[\w-]*\d)[\w-]{{10,}})",  # AI services
    rf"{_AT_WORD}(?:npm|hf|do[op]_v1)_[A-Za-z0-9]{{6,}}",  # npm, Hugging Face, DigitalOcean
    rf"{_AT_WORD}pypi-A[\w-]{{6,}}",  # PyPI
    rf"{_AT_WORD}hv[sbr]\.[\w-]{{6,}}",  # Vault
    rf"{_AT_WORD}SG\.[\w-]{{6,}}(?:\.[\w-]+)?",  # SendGrid
    rf"{_AT_WORD}\d{{8,10}}:[\w-]{{35}}",  # Telegram
    r"AGE-SECRET-KEY-1\w*",  # age
    rf"{_AT_WORD}eyJ[\w-]{{6,}}(?:\.[\w-]*)*",  # JSON Web Tokens
)
# A secret key of AWS has no mark but its length and its disorder.
_AWS_SECRET_KEY = r"(?<![\w/+=.-])[A-Za-z0-9/+]{40}(?![\w/+=.-])"  # noqa: S105 - a pattern

_SHAPES = tuple(
    (re.compile(pattern, re.DOTALL), replace)
    for pattern, replace in (
        *((pattern, _whole) for pattern in _TOKENS),
        *_CONTEXTS,
        (_AWS_SECRET_KEY, _if_mixed),
    )
)
