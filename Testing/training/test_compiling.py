"""torch.compile changes the speed and nothing else; TF32 ends with the training."""

import pytest
import torch

from ctscreener.networks import NetworkSettings
from training.descriptor import Contrast, ContrastSettings
from training.loop.compiling import compile_parts, products
from training.loop.loop import seeded


@pytest.mark.slow
def test_a_compiled_objective_has_the_same_loss_gradients_and_names() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((4, 1, 8, 12, 12), generator=generator)
    places = torch.rand((4, 16, 3), generator=generator) * 7
    found = []
    for compiled in (False, True):
        with seeded(0):
            objective = Contrast(
                NetworkSettings(channels=(8, 16), out=8), ContrastSettings(width=32)
            )
        if compiled:
            compile_parts(objective)
        loss = objective(images, places)["loss"]
        loss.backward()
        grads = {name: weight.grad for name, weight in objective.named_parameters()}
        found.append((loss.detach(), grads, set(objective.state_dict())))
    (loss, plain, names), (other, compiled_grads, others) = found
    assert names == others
    torch.testing.assert_close(other, loss, rtol=1e-4, atol=1e-5)
    for name, grad in plain.items():
        torch.testing.assert_close(compiled_grads[name], grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("device", "tf32", "inside"), [("cuda", True, "high"), ("cuda", False, "highest")]
)
def test_a_card_may_multiply_in_tf32_for_as_long_as_it_is_let(
    device: str, tf32: bool, inside: str
) -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        with products(torch.device(device), tf32):
            assert torch.get_float32_matmul_precision() == inside
        assert torch.get_float32_matmul_precision() == "medium"
        with products(torch.device("cpu"), tf32):
            assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
