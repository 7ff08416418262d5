"""A model of one network goes everywhere that one of three goes."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ctscreener import command
from ctscreener import tiled as tiled_module
from ctscreener.errors import InputError
from ctscreener.fallback import halved
from ctscreener.files import write_map
from ctscreener.model import (
    Distilled,
    Model,
    ModelSettings,
    Networks,
    half,
    load_model,
    save_model,
)
from ctscreener.networks import NetworkSettings
from ctscreener.preprocess import Prepared, prepare
from ctscreener.provenance import request
from ctscreener.scan import Box
from ctscreener.screening import ScreenSettings, score, screen
from ctscreener.student import Student, StudentSettings
from ctscreener.tiled import body_tiles, pooled_mask
from Testing.engine.small_model import CALIBRATION, CARD, SETTINGS, perturb
from Testing.engine.torso import COARSE, SHAPE, canonical_affine, torso

CPU = torch.device("cpu")
EXACT = ScreenSettings(overlap=0.25, device="cpu", reduced=False)
SCAN = torso(canonical_affine(SHAPE, (3.9, 3.7, 4.1)))
STUDENT = StudentSettings(
    NetworkSettings(channels=(8, 16), out=4, inputs=2 * 5 + 1 + 6), 1, surround=((1, 3),)
)
FAST = replace(SETTINGS, student=STUDENT)
PROVENANCE = {"teacher": {"name": "small", "sha256": "ab" * 32}}


def scorer(settings: ModelSettings = FAST) -> Distilled:
    """A student with random weights, the same at every call."""
    made = Distilled(settings)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    perturb(made, 0.2)
    made.student.middle.fill_(3.0)
    made.student.spread.fill_(5.0)
    made.student.y_mean.fill_(0.1)
    made.student.y_std.fill_(2.0)
    return made.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a distilled model."""
    path = tmp_path_factory.mktemp("models") / "fast"
    save_model(path, scorer(), CALIBRATION, PROVENANCE, CARD)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    """The same, loaded."""
    return load_model(str(folder))


def tile() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise in the shape of two tiles."""
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(2, 1, *FAST.tile, generator=generator)
    positions = torch.rand(2, 3, 12, 12, 12, generator=generator)
    return x, positions, torch.rand(2, 12, 12, 12, generator=generator) < 0.5


def test_a_folder_holds_descriptor_and_student_alone(folder: Path, model: Model) -> None:
    weights = load_file(folder / "weights.safetensors")
    assert {name.split(".")[0] for name in weights} == {"descriptor", "student"}
    kinds = {name: tensor.dtype for name, tensor in weights.items()}
    assert kinds["student.network.stem.weight"] == torch.float16
    assert kinds["descriptor.stem.weight"] == torch.float16
    assert kinds["student.head.weight"] == kinds["student.middle"] == torch.float32
    assert kinds["student.y_mean"] == torch.float32
    assert model.settings == FAST
    assert isinstance(model.networks, Distilled)
    assert not any(p.requires_grad for p in model.networks.parameters())
    found, made = model.networks.scores(*tile()), scorer().scores(*tile())
    torch.testing.assert_close(found, made, atol=0.02, rtol=0.02, equal_nan=True)
    again = folder.with_name("again")
    save_model(again, model.networks, model.calibration, model.provenance, model.card)
    assert load_model(str(again)).sha256 == model.sha256


def test_scores_are_finite_where_asked_for_and_nowhere_else() -> None:
    x, positions, where = tile()
    nll = scorer().scores(x, positions, where)
    assert nll.dtype == torch.float32
    assert torch.equal(nll.isnan(), ~where)
    absurd = scorer().scores(x * float("nan"), positions, where)
    assert torch.equal(absurd.isfinite(), where)
    assert absurd[where].min() > nll[where].max()


def test_a_score_hangs_on_image_place_and_body() -> None:
    x, positions, where = tile()
    both = where & where.flip(0)
    nll = scorer().scores(x, positions, where)[both]
    assert not torch.allclose(scorer().scores(x.flip(0), positions, where)[both], nll)
    assert not torch.allclose(scorer().scores(x, positions.flip(0), where)[both], nll)
    assert not torch.allclose(scorer().scores(x, positions, where.flip(0))[both], nll)


def test_scores_have_no_steps_in_reduced_precision() -> None:
    x, positions, where = tile()
    with torch.autocast("cpu", torch.bfloat16):
        nll = scorer().scores(x, positions, where)[where]
    assert nll.dtype == torch.float32
    assert len(nll.unique()) > 0.9 * len(nll)
    exact = scorer().scores(x, positions, where)[where]
    assert np.corrcoef(nll.detach(), exact.detach())[0, 1] > 0.999


def test_a_student_sees_descriptors_in_its_teachers_units() -> None:
    x, positions, where = tile()
    made = scorer()
    nll = made.scores(x, positions, where)
    with torch.no_grad():
        # The same descriptors in other units, and a student that knows these.
        for parameter in made.descriptor.heads.parameters():
            parameter *= 3
        made.student.y_mean *= 3
        assert not torch.allclose(made.scores(x, positions, where)[where], nll[where], rtol=1e-3)
        made.student.y_std *= 3
    torch.testing.assert_close(made.scores(x, positions, where), nll, equal_nan=True)


@pytest.mark.parametrize(("surround", "reach"), [((), 1), (((1, 3),), 4), (((0, 2), (1, 4)), 5)])
def test_a_student_sees_as_far_as_its_shells(
    surround: tuple[tuple[int, int], ...], reach: int
) -> None:
    network = replace(STUDENT.network, channels=(8,), inputs=5 * (1 + len(surround)) + 7)
    student = Student(replace(STUDENT, network=network, surround=surround), 5)
    # What remains of its UNet is a stem that looks one voxel aside.
    for parameter in student.network.encoder.parameters():
        parameter.data.zero_()
    y, where = torch.zeros(1, 5, 13, 13, 13), torch.ones(1, 13, 13, 13, dtype=torch.bool)
    positions = torch.zeros(1, 3, 13, 13, 13)
    before = student(y, positions, where)
    y[0, :, 6, 6, 6] = 1000
    moved = (student(y, positions, where) - before)[0].abs() > 1e-3
    assert moved[6, 6, 6 - reach]
    assert not moved[6, 6, 5 - reach]


def change_weights(folder: Path, to: Path, change: Callable[[dict], object]) -> str:
    """Copy a model with other tensors and a hash that fits; gives the error of loading it."""
    model = load_model(str(folder))
    save_model(to, model.networks, model.calibration, model.provenance, model.card)
    weights = load_file(to / "weights.safetensors")
    change(weights)
    save_file(weights, to / "weights.safetensors")
    description = json.loads((to / "model.json").read_text())
    content = (to / "weights.safetensors").read_bytes()
    (to / "model.json").write_text(
        json.dumps(description | {"sha256": sha256(content).hexdigest()})
    )
    with pytest.raises(InputError) as error:
        load_model(str(to))
    assert error.value.code == "model.tensors"
    return str(error.value)


def test_missing_and_extra_tensors_are_named(folder: Path, tmp_path: Path) -> None:
    lacking = change_weights(folder, tmp_path / "a", lambda w: w.pop("student.middle"))
    assert "lacks student.middle" in lacking
    more = {"density.y_mean": torch.zeros(5)}
    extra = change_weights(folder, tmp_path / "b", lambda w: w.update(more))
    assert "unknown tensor 'density.y_mean'" in extra


def test_weights_of_three_networks_are_no_student(folder: Path, tmp_path: Path) -> None:
    def three(weights: dict[str, torch.Tensor]) -> None:
        weights.clear()
        weights.update(half(Networks(SETTINGS)))

    assert "lacks student." in change_weights(folder, tmp_path / "c", three)


@pytest.mark.parametrize(
    ("student", "found"),
    [
        (replace(STUDENT, sincos=2), "inputs=23, found 17"),
        (replace(STUDENT, surround=()), "inputs=12, found 17"),
        (replace(STUDENT, network=replace(STUDENT.network, inputs=1)), "inputs=17, found 1"),
    ],
)
def test_a_student_that_sees_something_else_is_refused(
    student: StudentSettings, found: str
) -> None:
    with pytest.raises(ValueError, match=found):
        Student(student, FAST.descriptor.out)


def test_a_tile_fits_descriptor_and_student() -> None:
    # The network of the teacher's condition is gone: it would take no such sides.
    condition = replace(FAST.condition, learned=NetworkSettings(stem=(5, 5, 5), inputs=2))
    assert replace(FAST, condition=condition, tile=(4, 12, 24)).tile == (4, 12, 24)
    with pytest.raises(ValueError, match=r"no multiple of \(4, 6, 6\)"):
        replace(FAST, tile=(4, 12, 16))
    with pytest.raises(ValueError, match=r"no multiple of \(2, 4, 4\)"):
        replace(FAST, tile=(4, 12, 18))
    assert halved((24, 48, 24), FAST) == (12, 24, 12)


def test_a_description_whose_student_is_damaged_is_one_clear_error(
    folder: Path, tmp_path: Path
) -> None:
    for number, student in enumerate([5, {"network": {"inputs": 7}}, {"colour": "red"}]):
        copy = tmp_path / str(number)
        save_model(copy, scorer(), CALIBRATION, PROVENANCE, CARD)
        description = json.loads((copy / "model.json").read_text())
        description["settings"]["student"] = student
        (copy / "model.json").write_text(json.dumps(description))
        with pytest.raises(InputError) as error:
            load_model(str(copy))
        assert error.value.code == "model.unreadable"


def test_a_scan_is_screened(model: Model) -> None:
    screened = screen(SCAN, model, EXACT)
    prepared = prepare(SCAN, COARSE)
    assert screened.rarity.shape == SCAN.shape
    finite = np.isfinite(screened.rarity)
    assert 0.1 < finite.mean() < 0.9
    assert (screened.rarity[finite] > 0).all()
    assert screened.rarity[finite].std() > 0.01
    wanted = score(prepared, model.networks, EXACT, CPU).scores
    np.testing.assert_array_equal(np.isfinite(wanted), pooled_mask(prepared.body, FAST.pool))


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """The torso as the networks see it."""
    return prepare(SCAN, COARSE)


@pytest.mark.parametrize("batch", [3, 100])
def test_the_batch_does_not_matter(prepared: Prepared, batch: int) -> None:
    one = score(prepared, scorer(), EXACT, CPU)
    many = score(prepared, scorer(), replace(EXACT, batch=batch), CPU)
    assert one.tiles == many.tiles > 3
    np.testing.assert_allclose(many.scores, one.scores, atol=1e-3, rtol=1e-4)


def test_the_order_of_tiles_does_not_matter(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = score(prepared, scorer(), EXACT, CPU)
    assert forward.tiles > 8

    def shuffled(body: np.ndarray, model: ModelSettings, overlap: float) -> list[Box]:
        found = body_tiles(body, model, overlap)
        return [found[index] for index in np.random.default_rng(0).permutation(len(found))]

    monkeypatch.setattr(tiled_module, "body_tiles", shuffled)
    np.testing.assert_array_equal(score(prepared, scorer(), EXACT, CPU).scores, forward.scores)


def test_a_result_says_whose_student_made_it(model: Model, folder: Path) -> None:
    assert request(model, EXACT, None)["model"]["teacher"] == PROVENANCE["teacher"]
    plain = replace(model, provenance={})
    assert "teacher" not in request(plain, EXACT, None)["model"]


def test_the_command_line_takes_it_as_any_model(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = torso(canonical_affine(SHAPE, (4.0, 3.4, 3.4)))
    write_map(tmp_path / "scan.nii.gz", scan.hu, scan.affine)
    flags = ["--model", str(folder), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert command.main(["screen", str(tmp_path / "scan.nii.gz"), *flags]) == 0
    findings = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert findings["provenance"]["model"]["teacher"]["name"] == "small"
    assert (tmp_path / "out" / "anomaly.nrrd").exists()
    assert command.main(["model", str(folder)]) == 0
    assert CARD.strip() in capsys.readouterr().out
