"""A made-up patient from the thighs to the head, with noise, as a function of the place."""

import numpy as np

SPACING = (4.5, 3.0, 3.0)
MM = np.array(SPACING)
LUNG = -850.0
TISSUE = 40.0


class Patient:
    """HU on a canonical grid, and where each thing lies: R, A, S in mm.

    Arguments:
        low: S of the lowest slice; lungs lie from -100 to 100, the legs part at -420.
        high: S above the highest slice; shoulders lie at 130, the head from 200 to 400.
        half_width: Half the grid's width in mm.
    """

    def __init__(self, low: float, high: float, half_width: float = 260.0) -> None:
        s = np.arange(low, high, MM[0])
        a = np.arange(160.0, -190.0, -MM[1])
        r = np.arange(half_width, -half_width, -MM[2])
        self.s, self.a, self.r = s[:, None, None], a[None, :, None], r[None, None, :]
        self.shape = (len(s), len(a), len(r))
        self.hu = np.full(self.shape, -1000.0)
        self.trunk = ellipse(self.r / 165, self.a / 110) & (self.s > -420) & (self.s < 150)
        self.neck = ellipse(self.r / 60, self.a / 60) & (self.s >= 140) & (self.s < 230)
        self.head = ellipse(self.r / 75, (self.a - 10) / 95, (self.s - 300) / 100)
        self.legs = (
            ellipse((np.abs(self.r) - 85) / 78, self.a / 85) & (self.s <= -420) & (self.s > -2000)
        )
        self.body = self.trunk | self.neck | self.head | self.legs
        self.hu[self.body] = TISSUE
        side = (np.abs(self.r) - 75) / 58
        self.lung = ellipse(side, self.a / 80, self.s / 100)
        self.hu[self.lung] = LUNG
        bone = ellipse(self.r / 18, (self.a + 75) / 18) & (self.s < 150) & (self.s > -420)
        bone |= ellipse(self.r / 18, (self.a + 38) / 18) & (self.s >= 150) & (self.s < 230)
        bone |= ellipse((np.abs(self.r) - 85) / 14, self.a / 14) & (self.s <= -420)
        self.hu[bone] = 400

    def with_airway(self, opening: float) -> "Patient":
        """Windpipe of 18 mm from the bronchi to the throat, and a way out of so many mm."""
        airway = ellipse(self.r / 9, (self.a + 10) / 9) & (self.s > 20) & (self.s < 295)
        airway |= ellipse((self.s - 25) / 9, (self.a + 10) / 9) & (np.abs(self.r) < 60)
        half = opening / 2
        airway |= ellipse(self.r / half, (self.s - 280) / half) & (self.a > -10)
        self.hu[airway] = -1000
        return self

    def with_arms(self, gap: float = 20.0) -> "Patient":
        """Arms of 76 mm beside the trunk, so many mm from it, joined to it at the shoulders."""
        self.arms = ellipse((np.abs(self.r) - 203 - gap) / 38, self.a / 38) & (self.s < 140)
        high = (self.s > 90) & (self.s < 150)
        self.shoulders = ellipse(self.r / (241 + gap), self.a / 70) & high
        joined = (self.shoulders | self.arms) & ~self.lung
        self.hu[joined & ~self.body] = TISSUE
        bone = ellipse((np.abs(self.r) - 203 - gap) / 12, self.a / 12) & (self.s < 140)
        self.hu[bone] = 500
        self.body = self.body | joined
        return self

    def with_couch(self, top: float, flat: bool = True) -> np.ndarray:
        """Lay a couch of 50 mm under it, shells of 4.5 mm with foam; return where it is."""
        a = self.a - top + (0 if flat else (self.r / 20) ** 2 * -0.6)
        couch = (a <= 0) & (a > -50) & (np.abs(self.r) < 220) & np.ones(self.shape, bool)
        couch &= ~self.body
        foam = (a < -4.5) & (a > -45) & (np.abs(self.r) < 215)
        self.hu[couch] = 150
        self.hu[couch & foam] = -930
        return couch

    def outside(self, radius: float) -> np.ndarray:
        """What lies outside of a circle of reconstruction."""
        return ~ellipse(self.r / radius, self.a / radius) & np.ones(self.shape, bool)

    def noisy(self, hu: float = 12.0) -> np.ndarray:
        """The HU with noise, float32, `(D, H, W)`."""
        noise = np.random.default_rng(0).normal(0, hu, self.shape)
        return np.asarray(self.hu + noise, np.float32)


def ellipse(*axes: np.ndarray) -> np.ndarray:
    """Where a sum of squares is below 1."""
    return np.asarray(sum(axis**2 for axis in axes) < 1)
