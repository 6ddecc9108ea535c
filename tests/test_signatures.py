import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from fuzzing import changed_bytes, fuzzed, refusal_of
from hypothesis import given
from hypothesis import strategies as st

from baseline.errors import BaselineError, UsageError
from baseline.signatures import (
    SIGNATURE_BYTES,
    is_signed,
    read_private_key,
    read_public_key,
)


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_keys(folder: Path, name: str = "key", algorithm: str = "ed25519") -> tuple[Path, Path]:
    """A private and its public key, as the help says to make them."""
    private, public = folder / name, folder / f"{name}.pub"
    openssl("genpkey", "-algorithm", algorithm, "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_keys(tmp_path_factory.mktemp("keys"))


def test_what_is_signed_is_so_by_this_key_alone(keys: tuple[Path, Path], tmp_path: Path) -> None:
    private, public = read_private_key(keys[0]), read_public_key(keys[1])
    other = read_public_key(make_keys(tmp_path)[1])
    signature = private.sign(b"what it says")
    assert len(signature) == SIGNATURE_BYTES
    assert private.sign(b"what it says") == signature
    assert is_signed(b"what it says", signature, [public])
    assert is_signed(b"what it says", signature, [other, public])
    assert not is_signed(b"what it says", signature, [other])
    assert not is_signed(b"what it says", signature, [])
    assert not is_signed(b"what it said", signature, [public])


def test_openssl_and_we_understand_each_other(keys: tuple[Path, Path], tmp_path: Path) -> None:
    content, theirs, ours = (tmp_path / name for name in ("content", "theirs", "ours"))
    content.write_bytes(b"{}\n")
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", keys[0], "-in", content, "-out", theirs)
    ours.write_bytes(read_private_key(keys[0]).sign(b"{}\n"))
    assert theirs.read_bytes() == ours.read_bytes()
    openssl(
        *("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", keys[1], "-in", content),
        *("-sigfile", ours),
    )


@given(st.data())
@fuzzed(200)
def test_any_signature_but_the_right_one_is_none(
    keys: tuple[Path, Path], data: st.DataObject
) -> None:
    signature = read_private_key(keys[0]).sign(b"what it says")
    other = data.draw(changed_bytes(signature) | st.binary(max_size=99))
    assert is_signed(b"what it says", other, [read_public_key(keys[1])]) == (other == signature)


@given(st.data())
@fuzzed(300)
def test_any_key_is_one_or_refused(
    keys: tuple[Path, Path], tmp_path: Path, data: st.DataObject
) -> None:
    valid = data.draw(st.sampled_from(keys)).read_bytes()
    path = tmp_path / "key"
    path.write_bytes(data.draw(changed_bytes(valid) | st.binary(max_size=99)))
    path.chmod(0o600)
    for read in (read_private_key, read_public_key):
        problem = refusal_of(partial(read, path), UsageError)
        assert problem is None or str(path) in problem


def test_keys_of_another_kind_are_refused(tmp_path: Path) -> None:
    private, public = make_keys(tmp_path, algorithm="x25519")
    with pytest.raises(UsageError, match="is not for Ed25519"):
        read_private_key(private)
    with pytest.raises(UsageError, match="is not for Ed25519"):
        read_public_key(public)


def test_a_key_of_another_curve_than_it_says_is_refused(
    keys: tuple[Path, Path], tmp_path: Path
) -> None:
    path = tmp_path / "key"
    # X448, whose keys are longer: what openssl says to that is no error of the format.
    path.write_bytes(keys[0].read_bytes().replace(b"MC4CAQAwBQYDK2Vw", b"MC4CAQAwBQYDK2Vv"))
    path.chmod(0o600)
    with pytest.raises(UsageError, match="holds no private key"):
        read_private_key(path)


def test_the_two_halves_are_not_mistaken_for_each_other(keys: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match=r"holds no public key.*-pubout"):
        read_public_key(keys[0])
    with pytest.raises(UsageError, match="holds a public key"):
        read_private_key(keys[1])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_private_key_is_nobody_elses(keys: tuple[Path, Path], tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(keys[0].read_bytes())
    path.chmod(mode)
    with pytest.raises(UsageError, match="chmod 600"):
        read_private_key(path)
    path.chmod(0o400)
    assert read_private_key(path)


@pytest.mark.skipif(os.getuid() != 0, reason="gives a file away")
def test_a_key_of_somebody_else_is_their_affair(keys: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(keys[0].read_bytes())
    path.chmod(0o640)
    os.chown(path, 65534, 0)
    assert read_private_key(path)


def test_a_key_may_come_through_a_pipe(keys: tuple[Path, Path]) -> None:
    reading, writing = os.pipe()
    os.write(writing, keys[0].read_bytes())
    os.close(writing)
    assert read_private_key(Path(f"/dev/fd/{reading}"))
    os.close(reading)


def test_a_key_that_never_ends_is_none() -> None:
    with pytest.raises(UsageError, match="holds no public key"):
        read_public_key(Path("/dev/zero"))


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    for read in (read_private_key, read_public_key):
        with pytest.raises(UsageError, match="nowhere cannot be read: No such file"):
            read(tmp_path / "nowhere")


def test_for_a_key_with_a_passphrase_there_is_openssl(tmp_path: Path) -> None:
    path = tmp_path / "key"
    openssl("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:word", "-out", path)
    with pytest.raises(UsageError, match=r"has a passphrase.*openssl pkeyutl -sign -rawin"):
        read_private_key(path)


def test_without_the_library_the_way_out_is_to_install_it(
    keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for read, path in zip((read_private_key, read_public_key), keys, strict=True):
        with pytest.raises(BaselineError, match="-m pip install cryptography"):
            read(path)
