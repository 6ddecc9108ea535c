"""Who signed a model, and what that vouches for."""

import json
import os
import shutil
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fuzzing import changed_bytes, fuzzed, refusal_of
from hypothesis import given
from hypothesis import strategies as st
from synthetic_service import ARCHITECTURE, serving

from baseline.errors import ModelError
from baseline.model.folders import MANIFEST, SIGNATURE
from baseline.model.storage import (
    load_model,
    load_models,
    save_model,
    save_models,
    sign_models,
)
from baseline.model.workload_model import WorkloadModel

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
OWNER = [KEY.public_key()]
STRANGER = [Ed25519PrivateKey.from_private_bytes(b"\1" * 32).public_key()]


def model_of(workload: str) -> WorkloadModel:
    windows = [replace(window, workload=workload) for window in islice(serving(1), 20)]
    return WorkloadModel.fit(windows, ARCHITECTURE)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two signed models that no test changes."""
    path = tmp_path_factory.mktemp("sound") / "models"
    save_models([model_of("web"), model_of("api")], path)
    sign_models(path, KEY)
    return path


@pytest.fixture
def signed(sound: Path, tmp_path: Path) -> Path:
    """Two signed models to change."""
    return shutil.copytree(sound, tmp_path / "models")


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as refused:
        load_models(path, OWNER)
    return str(refused.value)


def contents(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}


def test_signed_models_are_used(signed: Path) -> None:
    assert sorted(load_models(signed, OWNER)) == ["api", "web"]
    assert sorted(load_models(signed, [*STRANGER, *OWNER])) == ["api", "web"]
    assert load_model(signed / "web", OWNER).workload == "web"
    assert sorted(load_models(signed)) == ["api", "web"]


def test_signing_again_changes_nothing(signed: Path) -> None:
    before = contents(signed)
    assert sign_models(signed, KEY) == [signed / name / SIGNATURE for name in ("api", "web")]
    assert contents(signed) == before


def test_a_stranger_did_not_sign(signed: Path) -> None:
    with pytest.raises(ModelError, match=f"The model {signed}/api is not as the owner of the key"):
        load_models(signed, STRANGER)


def test_a_model_without_its_signature_is_named(signed: Path) -> None:
    (signed / "web" / SIGNATURE).unlink()
    assert f"The model {signed}/web is not signed. Get it signed" in refusal(signed)


def test_a_signature_of_another_model_is_none(signed: Path) -> None:
    shutil.copy(signed / "api" / SIGNATURE, signed / "web" / SIGNATURE)
    assert f"{signed}/web is not as the owner" in refusal(signed)


def test_a_model_cannot_be_passed_off_as_another_workloads(signed: Path) -> None:
    shutil.rmtree(signed / "web")
    shutil.copytree(signed / "api", signed / "web")
    assert "holds two models of api" in refusal(signed)
    shutil.rmtree(signed / "api")
    assert list(load_models(signed, OWNER)) == ["api"]
    manifest = json.loads((signed / "web" / MANIFEST).read_text())
    del manifest["sha256"]
    manifest["workload"] = "web"
    said = json.dumps(manifest, sort_keys=True).encode()
    manifest["sha256"] = sha256(said).hexdigest()
    (signed / "web" / MANIFEST).write_text(json.dumps(manifest))
    assert list(load_models(signed)) == ["web"]
    assert "is not as the owner" in refusal(signed)


def test_not_even_spaces_may_change(signed: Path) -> None:
    file = signed / "web" / MANIFEST
    file.write_bytes(file.read_bytes() + b"\n")
    assert len(load_models(signed)) == 2
    assert "is not as the owner" in refusal(signed)


def test_a_model_that_is_written_anew_is_not_signed(signed: Path) -> None:
    save_model(load_model(signed / "web"), signed / "web", force=True)
    assert f"{signed}/web is not signed" in refusal(signed)


def test_nothing_is_parsed_before_all_is_verified(signed: Path) -> None:
    (signed / "api" / MANIFEST).write_text("no JSON")
    (signed / "web" / SIGNATURE).unlink()
    sign = KEY.sign((signed / "api" / MANIFEST).read_bytes())
    (signed / "api" / SIGNATURE).write_bytes(sign)
    assert f"{signed}/web is not signed" in refusal(signed)
    shutil.rmtree(signed / "web")
    assert "manifest.json is damaged" in refusal(signed)


def test_what_is_damaged_is_not_signed(signed: Path) -> None:
    for name in ("api", "web"):
        (signed / name / SIGNATURE).unlink()
    (signed / "web" / "ngrams.parquet").write_bytes(b"")
    with pytest.raises(ModelError, match=r"web/ngrams\.parquet is not what was written"):
        sign_models(signed, KEY)
    assert not list(signed.rglob(SIGNATURE))


@pytest.mark.parametrize("size", [0, 63, 65, 10**6])
def test_a_signature_has_its_size(signed: Path, size: int) -> None:
    (signed / "web" / SIGNATURE).write_bytes(bytes(size))
    assert str(signed / "web") in refusal(signed)


def test_a_pipe_in_the_place_of_a_signature_is_not_waited_for(signed: Path) -> None:
    (signed / "web" / SIGNATURE).unlink()
    os.mkfifo(signed / "web" / SIGNATURE)
    assert "manifest.json.sig cannot be read: Not a regular file" in refusal(signed)


@given(st.data())
@fuzzed(60)
def test_any_change_of_any_file_is_refused(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    relative = data.draw(st.sampled_from(sorted(contents(sound))))
    changed = data.draw(changed_bytes((sound / relative).read_bytes()))
    folder = tmp_path_factory.mktemp("changed")
    copy = shutil.copytree(sound, folder / "models")
    (copy / relative).write_bytes(changed)
    refused = refusal_of(lambda: load_models(copy, OWNER), ModelError)
    assert (refused is None) == (changed == (sound / relative).read_bytes())
    shutil.rmtree(folder)
