"""Steps whose gradient is not finite: skipped and counted on the device, which is not waited for."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Skipping:
    """Counts steps that are skipped.

    All processes see the same norm of the averaged gradient, and so skip the same steps.

    Arguments:
        device: Where the norms are.
        most: Steps in a row after which there is no hope.
        state: What `state` said in the session before.
    """

    def __init__(self, device: torch.device, most: int, state: Mapping[str, Any]) -> None:
        self.most = most
        # Skipped in all, in a row up to now, and in a row at most.
        start = [float(state.get("skipped", 0)), float(state.get("skipped_in_a_row", 0)), 0.0]
        self._counts = torch.tensor(start, device=device)

    def look(self, norm: Tensor) -> Tensor:
        """Judge a step.

        Arguments:
            norm: Norm of its gradient, a scalar.

        Returns:
            1 where it has to be skipped, else 0, float32, a scalar.
        """
        bad = (~norm.detach().isfinite()).float()
        total, row, longest = self._counts.unbind()
        total += bad
        row.add_(1).mul_(bad)
        torch.maximum(longest, row, out=longest)
        return bad

    def counted(self) -> dict[str, float]:
        """Steps skipped so far, where there are any; waits for the device."""
        skipped = float(self._counts[0])
        return {"skipped": skipped} if skipped else {}

    def hopeless(self) -> bool:
        """Whether too many steps in a row were skipped; waits for the device."""
        return float(self._counts[2]) >= self.most

    def state(self) -> dict[str, float]:
        """What the next session goes on from."""
        skipped, row, _ = self._counts.tolist()
        return {"skipped": skipped, "skipped_in_a_row": row}
