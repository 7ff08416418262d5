"""A graphics card without values: torch's meta device, on which whatever has to wait fails.

A tensor there has a shape and no numbers. So `.item()`, a mask that is turned into indices, or a
branch on a result raise an error: what runs through waits for the card nowhere. What is copied to
it from the host is counted.
"""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CARD = torch.device("meta")


class Traffic(TorchDispatchMode):
    """Counts what goes from the host to the card, and the kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[tuple[str, int]] = []
        self.kernels: Counter[str] = Counter()

    def __torch_dispatch__(  # noqa: ANN204 - anything that torch computes
        self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None
    ):
        """Run an operation; look at where its tensors were and are."""
        out = func(*args, **(kwargs or {}))
        given, made = (
            [t for t in tree_leaves(part) if isinstance(t, torch.Tensor)]
            for part in ((args, kwargs), out)
        )
        if any(t.device == CARD for t in (*given, *made)):
            self.kernels[str(func)] += 1
            # A scalar of the host travels with the kernel.
            self.copies += [(str(func), t.nbytes) for t in given if t.device != CARD and t.ndim]
        return out


@contextlib.contextmanager
def card(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let chance and reduced precision do without a card."""
    generator = torch.Generator

    class OnCard(generator):
        """Says that it draws on the card, so that a number asked of it there is waited for."""

        device = CARD

    class Made:
        def __new__(cls, device: object = "cpu") -> torch.Generator:  # pyright: ignore[reportInconsistentConstructor]
            return OnCard() if torch.device(str(device)) == CARD else generator()

    class NoAutocast(contextlib.nullcontext):
        def __init__(self, *given: object, **named: object) -> None:
            super().__init__()

    with patch.context() as while_it_lasts:
        while_it_lasts.setattr(torch, "Generator", Made)
        while_it_lasts.setattr(torch, "autocast", NoAutocast)
        # The optimizer's kernel knows shapes without values; its list of devices does not say so.
        adam = sys.modules["torch.optim.adam"]
        while_it_lasts.setattr(adam, "_device_dtype_check_for_fused", lambda p: None)
        yield
