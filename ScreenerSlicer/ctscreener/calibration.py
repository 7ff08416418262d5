"""The rarity scale: what a model's -log p means, in shares of the reference scans.

Rarity is `-log10 P(a reference body voxel is at least as rare)`: 3 means as rare as 1 voxel in
1,000. It is a strictly increasing function of the -log p, so it changes no ranking and no metric
that rests on one; it only gives the same number the same meaning in every scan and every model.

Between the quantiles of the reference voxels the scale is linear. Beyond the last of them nothing
was counted, and no reference can say of a voxel that it is rarer than one of all its own: there
the scale bends towards a ceiling that it never reaches, `min(6, log10(reference voxels))`. It
leaves the last quantile as steeply as the exponential tail that is fitted to the exceedances of
the rarest 0.1%, and goes on as a hyperbola, which keeps apart what float64 keeps apart for long;
float32 makes some of them equal, far out. Below the first quantile, it falls as a hyperbola towards
0 and never reaches it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from ctscreener.errors import InputError

_LN10 = float(np.log(10))
_LEVELS_A_DECADE = 50
"""Quantiles for every factor of 10 in share, counted from both ends of the distribution."""
_BEYOND_TABLE = 10
"""The table ends where this many reference voxels are rarer: fewer would be chance."""
_TAIL_SHARE = 1e-3
"""The share of rarest voxels that the exponential tail is fitted to (the rarest 100 at least)."""
_CEILING = 6.0
"""No scan is as large that it could be 10 times rarer: a few million voxels of body, and those of
one patient are alike. Colours end here, too."""
_ROOM = 0.25
"""Rarity between the table's end and the ceiling, at least: what lies beyond is ranked, too."""
_BLOCK = 1 << 20
"""Values converted at once: bounds the memory of a whole scan's temporaries."""

_Convert = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _unusable(found: str) -> InputError:
    """The one error of this file, told with what was found."""
    return InputError(
        "model.calibration",
        f"Expected a rarity scale of strictly increasing quantiles, found {found}.",
        "Calibrate the model again, or install it again if it was downloaded.",
    )


def _shares(voxels: float) -> np.ndarray:
    """Shares of voxels at least as rare at which to take a quantile, falling from almost 1."""
    end = min(max(_BEYOND_TABLE / voxels, 10 ** (_ROOM - _CEILING)), 0.25)
    shares = np.geomspace(end, 0.5, int(np.ceil(_LEVELS_A_DECADE * np.log10(0.5 / end))) + 1)
    return np.concatenate([1 - shares, shares[-2::-1]])


def _ceiling(counted: float, voxels: float) -> float:
    """The ceiling over a table that ends at a rarity."""
    return max(min(_CEILING, float(np.log10(voxels))), counted + _ROOM)


def _mean_excess(values: np.ndarray, mass: np.ndarray) -> float:
    """Scale of the exponential distribution likeliest to have made these exceedances.

    Arguments:
        values: The rarest values, sorted, at least one; the first is the threshold exceeded.
        mass: How much each counts.
    """
    return float(np.average(values - values[0], weights=mass))


def _between(at: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate linearly, without ever falling by a rounding where a piece ends.

    Every operation here is monotone when rounded, which `np.interp` does not promise.
    """
    right = np.clip(np.searchsorted(x, at, side="right"), 1, len(x) - 1)
    left = right - 1
    share = (at - x[left]) / (x[right] - x[left])
    return np.minimum(y[left] + share * (y[right] - y[left]), y[right])


@dataclass(frozen=True)
class Calibration:
    """A strictly increasing scale from -log p to rarity.

    Arguments:
        knots_nll: Quantiles of the reference body voxels' -log p in nats, strictly increasing.
        knots_rarity: The rarity at each of them, strictly increasing, above 0.
        tail_nll: Nats for one more unit of rarity just beyond the last knot, above 0.
        voxels: Number of reference voxels (of effective ones, where they were weighted).
        ceiling: The rarity that none reaches, above the last knot's. None, as in models that
            were made before there was one, for `min(6, log10(voxels))`, but at least 0.25 above
            the last knot.

    Raises:
        InputError: `model.calibration` when the numbers are not such a scale.

    Example:
        >>> scale = Calibration((0.0, 2.0), (1.0, 3.0), tail_nll=0.5, voxels=10_000)
        >>> scale.rarity(np.array([1.0, 2.0, 2.5, 1000.0])).round(2).tolist()
        [2.0, 3.0, 3.5, 4.0]
    """

    knots_nll: tuple[float, ...]
    knots_rarity: tuple[float, ...]
    tail_nll: float
    voxels: int
    ceiling: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is not a strictly increasing scale."""
        nll, rarity = np.array(self.knots_nll), np.array(self.knots_rarity)
        if len(nll) != len(rarity) or len(nll) < 2:
            raise _unusable(f"{len(nll)} values of -log p for {len(rarity)} rarities")
        # float32 is what scores are kept in, and keeps every difference here finite.
        limit = np.finfo(np.float32).max
        for name, knots in (("-log p", nll), ("rarity", rarity)):
            if not (np.all(np.abs(knots) < limit) and np.all(np.diff(knots) > 0)):
                raise _unusable(f"quantiles of {name} that are not finite and increasing")
        if rarity[0] <= 0:
            raise _unusable(f"a first rarity of {rarity[0]:g} instead of one above 0")
        if not 1e-30 < self.tail_nll < limit:
            raise _unusable(f"a tail of {self.tail_nll:g} nats for a unit of rarity")
        if self.voxels < 1:
            raise _unusable(f"{self.voxels} reference voxels")
        if not rarity[-1] < self.highest < limit:
            raise _unusable(f"a ceiling of {self.highest:g} over a rarity of {rarity[-1]:g}")

    @classmethod
    def fit(cls, nll: np.ndarray, weights: np.ndarray | None = None) -> Self:
        """Measure the scale on the body voxels of reference scans.

        Arguments:
            nll: -log p of reference body voxels in nats, any shape; NaN (not scored) is left out.
            weights: How much each of them counts, same shape, above 0; equally when None.

        Returns:
            The scale. Its knots are reference voxels, each with the share that was counted at
            or above it, so voxels with one -log p have one rarity and none is overstated.

        Raises:
            InputError: `model.calibration` with fewer than 100 finite values, with infinite
                ones, or with values that are all alike.
        """
        scored = ~np.isnan(nll)
        # Scores are float32: what it cannot tell apart is one value.
        values = nll[scored].astype(np.float32).astype(np.float64)
        if len(values) < 100 or not np.isfinite(values).all():
            raise _unusable(f"{np.isfinite(values).sum()} finite of {len(values)} scored values")
        mass = np.ones(len(values)) if weights is None else weights[scored].astype(np.float64)
        voxels = float(mass.sum() ** 2 / (mass**2).sum())
        order = np.argsort(values)
        values, mass = values[order], mass[order] / mass.sum()

        at_least = np.cumsum(mass[::-1])[::-1]
        at = np.searchsorted(-at_least, -_shares(voxels), side="right") - 1
        knots = np.unique(values[np.maximum(at, 0)])
        if len(knots) < 2:
            raise _unusable("reference values that are all alike")
        share = at_least[np.searchsorted(values, knots)]
        # The commonest voxel is not certain to be the commonest of all: its rarity is above 0.
        rarity = -np.log(np.minimum(share, 1 - 0.5 / voxels)) / _LN10
        rarest = at_least <= max(_TAIL_SHARE, min(100 / voxels, 0.5))
        scale = _mean_excess(values[rarest], mass[rarest]) if rarest.any() else 0.0
        # Rarest voxels that are all alike have no tail: go on as steeply as the table on average.
        tail = scale * _LN10 if scale > 0 else np.ptp(knots) / np.ptp(rarity)
        ceiling = _ceiling(float(rarity[-1]), voxels)
        table = tuple(knots.tolist()), tuple(rarity.tolist())
        return cls(*table, float(tail), round(voxels), ceiling)

    @property
    def measured_up_to(self) -> float:
        """The highest rarity that was counted; beyond it there is an order, and no count."""
        return self.knots_rarity[-1]

    @property
    def highest(self) -> float:
        """The ceiling, which no rarity reaches."""
        if self.ceiling is not None:
            return self.ceiling
        return _ceiling(self.measured_up_to, self.voxels)

    def rarity(self, nll: np.ndarray) -> np.ndarray:
        """Turn -log p into rarity.

        Arguments:
            nll: -log p in nats, any shape, float32 or float64.

        Returns:
            Rarity of the same shape and type, between 0 and the ceiling, which only rounding
            reaches; NaN where `nll` is NaN.
        """
        return self._blockwise(nll, self._rarity)

    def nll(self, rarity: np.ndarray) -> np.ndarray:
        """Turn rarity back into -log p: the inverse of `rarity`.

        Arguments:
            rarity: Rarity, any shape, float32 or float64.

        Returns:
            -log p in nats of the same shape and type; NaN where `rarity` is NaN, the lowest
            finite number where it is 0 or below and the highest from the ceiling on: no finite
            -log p reaches these.
        """
        return self._blockwise(rarity, self._nll)

    def to_json(self) -> dict[str, object]:
        """Return the scale as lists and numbers that JSON can hold."""
        return {
            "knots_nll": list(self.knots_nll),
            "knots_rarity": list(self.knots_rarity),
            "tail_nll": self.tail_nll,
            "voxels": self.voxels,
            "ceiling": self.ceiling,
        }

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read what `to_json` wrote.

        Arguments:
            data: What a JSON reader made of it.

        Raises:
            InputError: `model.calibration` when something is missing, or is not a number.
        """
        names = ("knots_nll", "knots_rarity", "tail_nll", "voxels")
        if not isinstance(data, dict) or not all(name in data for name in names):
            raise _unusable("something without " + ", ".join(names))
        try:
            nll, rarity = (tuple(float(knot) for knot in data[name]) for name in names[:2])
            ceiling = data.get("ceiling")
            ceiling = None if ceiling is None else float(ceiling)
            return cls(nll, rarity, float(data["tail_nll"]), int(data["voxels"]), ceiling)
        except (TypeError, ValueError, OverflowError) as error:
            raise _unusable(f"values that are not numbers ({error})") from error

    def _blockwise(self, values: np.ndarray, convert: _Convert) -> np.ndarray:
        """Convert block by block in float64, and round only at the end."""
        kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        out = np.empty(values.shape, kind)
        source, target, limit = values.reshape(-1), out.reshape(-1), np.finfo(kind).max
        x, y = np.array(self.knots_nll), np.array(self.knots_rarity)
        for start in range(0, source.size, _BLOCK):
            block = source[start : start + _BLOCK].astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                converted = np.clip(convert(block, x, y), -limit, limit)
            target[start : start + _BLOCK] = converted
        return out

    def _rarity(self, nll: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Rarity of one block; `x` and `y` are the knots."""
        body = _between(nll, x, y)
        room = self.highest - y[-1]
        reach = room * self.tail_nll
        tail = np.maximum(self.highest - room * (reach / (reach + (nll - x[-1]))), y[-1])
        # This width makes the hyperbola leave the first knot as steeply as the table does.
        width = y[0] * (x[1] - x[0]) / (y[1] - y[0])
        head = y[0] * (width / (width + (x[0] - nll)))
        return np.where(nll > x[-1], tail, np.where(nll < x[0], head, body))

    def _nll(self, rarity: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """-log p of one block; `x` and `y` are the knots."""
        body = _between(rarity, y, x)
        left = self.highest - rarity
        reach = (self.highest - y[-1]) * self.tail_nll
        tail = np.where(left > 0, x[-1] + reach * (rarity - y[-1]) / left, np.inf)
        width = y[0] * (x[1] - x[0]) / (y[1] - y[0])
        head = np.where(rarity > 0, x[0] - width * (y[0] - rarity) / rarity, -np.inf)
        return np.where(rarity > y[-1], tail, np.where(rarity < y[0], head, body))
