"""Chance on a device: what the host has to know is drawn on the host, the rest where it is used."""

import pytest
import torch

from Testing.engine.valueless_card import CARD, card
from training.data.chance import chances_of, generator_of

CPU = torch.device("cpu")


def test_on_the_processor_all_is_drawn_from_one_source() -> None:
    chances, generator = chances_of(3, CPU), generator_of(3, CPU)
    assert chances.number(2.0, 4.0) == 2 + 2 * torch.rand((), generator=generator).item()
    assert torch.equal(chances.normal((2, 3)), torch.randn(2, 3, generator=generator))
    assert chances.whole(9) == int(torch.randint(9, (), generator=generator))
    assert torch.equal(chances.order(5), torch.randperm(5, generator=generator))
    assert torch.equal(chances.even((4,)), torch.rand(4, generator=generator))
    assert torch.equal(chances.below(7, 4), torch.randint(7, (4,), generator=generator))


def test_some_of_a_mask_are_drawn_evenly_and_with_replacement() -> None:
    inside = torch.zeros(3, 4, 5, dtype=torch.bool)
    inside[1, 1:3, 2:4] = True
    drawn = chances_of(0, CPU).some_of(inside, 4000)
    counts = drawn.bincount(minlength=60)
    assert torch.equal(counts > 0, inside.flatten())
    # Each of four is drawn a thousand times; the deviation of that is 27.
    assert (counts[counts > 0] - 1000).abs().max() < 140
    for whole in (torch.zeros(6, dtype=torch.bool), torch.tensor([False] * 5 + [True])):
        assert chances_of(0, CPU).some_of(whole, 3).tolist() == [5, 5, 5]


def test_a_number_is_not_asked_of_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    with card(monkeypatch):
        chances = chances_of(0, CARD)
        assert 0 <= chances.number() < 1
        assert chances.whole(1) == 0
        assert chances.normal((2,)).device == CARD
        assert chances.some_of(torch.ones(4, dtype=torch.bool, device=CARD), 2).device == CARD
        with pytest.raises((RuntimeError, NotImplementedError)):
            chances.even(()).item()
