"""The probe of the machine, and the choice of the device that follows from it."""

import importlib.metadata
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ScreenerSlicerLib.preflight.hardware import Gpu, Hardware, choose_device, torch_build
from ScreenerSlicerLib.preflight.probe import Probe, find_hardware, memory_mb, parse_table, visible
from Testing.slicer.processes import soon

RTX = Gpu("NVIDIA GeForce RTX 4090", 24564, 20000, (8, 9))
BLACKWELL = Gpu("NVIDIA GeForce RTX 5090", 32607, 30000, (12, 0))
TABLE = """NVIDIA GeForce RTX 4090, 24564, 20000, 8.9, 555.42.02
NVIDIA GeForce RTX 5090, 32607, 30000, 12.0, 555.42.02
"""


def test_nvidia_smi_is_read_card_by_card() -> None:
    assert parse_table(TABLE) == ((RTX, BLACKWELL), "555.42.02")
    assert parse_table("") == ((), "")
    assert parse_table("NVIDIA-SMI has failed because it couldn't communicate\n") == ((), "")
    mig = parse_table("NVIDIA A100, [N/A], [Insufficient Permissions], 8.0, 535.1\n")
    assert mig == ((Gpu("NVIDIA A100", None, None, (8, 0)),), "535.1")


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, (RTX, BLACKWELL)),
        ("", ()),
        ("-1", ()),
        ("1", (BLACKWELL,)),
        ("1,0", (BLACKWELL, RTX)),
        ("0,7,1", (RTX,)),
        ("GPU-8932f937", (RTX, BLACKWELL)),
    ],
)
def test_hidden_cards_are_left_out(variable: str | None, expected: tuple[Gpu, ...]) -> None:
    assert visible((RTX, BLACKWELL), variable) == expected


def test_a_driver_without_its_program_still_names_its_cards(tmp_path: Path) -> None:
    (tmp_path / "0000:01:00.0").mkdir()
    information = "Model: \t\t NVIDIA T4\nIRQ: 1\n"
    (tmp_path / "0000:01:00.0" / "information").write_text(information)
    found = find_hardware({}, ask=lambda _: "", gpu_folder=tmp_path)
    assert found.gpus == (Gpu("NVIDIA T4"),)
    assert find_hardware({}, ask=lambda _: TABLE, gpu_folder=tmp_path).gpus == (RTX, BLACKWELL)
    hidden = {"CUDA_VISIBLE_DEVICES": "-1"}
    assert find_hardware(hidden, ask=lambda _: TABLE, gpu_folder=tmp_path).gpus == ()


def test_a_machine_without_nvidia_smi_has_no_card_but_memory(tmp_path: Path) -> None:
    found = find_hardware({}, gpu_folder=tmp_path)
    assert found.cores == os.cpu_count()
    assert "cores" in str(found)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_free_memory_is_less_than_all() -> None:
    total, free = memory_mb()
    assert total is not None
    assert free is not None
    assert 0 < free < total


def test_the_probe_does_not_block() -> None:
    gate: list[bool] = []

    def slow() -> Hardware:
        soon(lambda: gate)
        return Hardware(cores=3)

    probe = Probe(slow)
    assert probe.hardware is None
    gate.append(True)
    assert soon(lambda: probe.hardware is not None)
    assert probe.hardware == Hardware(cores=3)


ONE = Hardware((RTX,), cores=8)


@pytest.mark.parametrize(
    ("hardware", "wanted", "torch", "name", "why"),
    [
        (ONE, "auto", "cu126", "cuda:0", ""),
        (ONE, "cuda", "cuda", "cuda:0", ""),
        (ONE, "auto", "", "cuda:0", ""),
        (ONE, "cuda:1", "cu126", "cpu", "No NVIDIA GPU"),
        (ONE, "cpu", "cu126", "cpu", "chosen"),
        (ONE, "auto", "cpu", "cpu", "one for the CPU"),
        (Hardware((BLACKWELL,)), "auto", "cu126", "cpu", "CUDA 12.8"),
        (Hardware((BLACKWELL,)), "auto", "cu129", "cuda:0", ""),
        (Hardware(), "auto", "cpu", "cpu", "No NVIDIA GPU"),
        (Hardware(apple=True), "auto", "", "cpu", "only when it is chosen"),
        (Hardware(apple=True), "mps", "", "mps", ""),
        (Hardware(), "mps", "", "cpu", "No NVIDIA GPU"),
    ],
)
def test_the_device_is_foreseen_and_the_processor_never_silent(
    hardware: Hardware, wanted: str, torch: str, name: str, why: str
) -> None:
    device = choose_device(hardware, wanted, torch)
    assert device.name == name
    assert (device.notice != "") == (name == "cpu")
    assert why in device.notice


def metadata(version: str, requires: list[str]) -> tuple[Callable[..., str], Callable[..., list]]:
    return (lambda _: version), (lambda _: requires)


def test_the_build_of_torch_is_told_without_importing_it() -> None:
    assert torch_build(*metadata("2.8.0+cu128", [])) == "cu128"
    assert torch_build(*metadata("2.8.0+cpu", ["nvidia-cudnn"])) == "cpu"
    assert torch_build(*metadata("2.8.0", ["filelock", "nvidia-cudnn-cu12==9"])) == "cuda"
    assert torch_build(*metadata("2.8.0", ["filelock"])) == "cpu"

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    assert torch_build(missing) == ""
