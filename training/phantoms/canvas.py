"""The canvas: voxels that know where in a standard body they lie, and tools to paint on them."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ctscreener.scan import Box
from training.phantoms.fields import cubic_matrix, smooth_field, stretch

COARSE_MM = 5.0
"""Distance of the coarse nodes; smooth shapes are computed there and interpolated."""


@dataclass(frozen=True)
class Place:
    """Points of the standard body, in mm: x to the left, y to the back, z upwards.

    Arguments:
        x: Towards the patient's left, any shape.
        y: Towards the back, shaped as `x`.
        z: Towards the head, shaped as `x`.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    def __getitem__(self, where: object) -> Self:
        """Take the same part of all three coordinates."""
        return type(self)(self.x[where], self.y[where], self.z[where])  # type: ignore[index]


class Canvas:
    """A volume under construction.

    Arguments:
        shape: Voxels along `(D, H, W)`.
        spacing: Voxel size in mm along `(D, H, W)`.
        to_body: Voxel `(d, h, w, 1)` to the standard body `(z, y, x)` in mm, `(3, 4)`.
        rng: Draws the warp that makes this body its own.
        warp: Strength of the warp, 1 being usual.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        spacing: np.ndarray,
        to_body: np.ndarray,
        rng: np.random.Generator,
        warp: float = 1.0,
    ) -> None:
        self.shape = shape
        self.spacing = np.asarray(spacing, float)
        self.hu = np.full(shape, -1000, np.float32)
        self.organ = np.zeros(shape, np.uint8)
        self.soft = float(self.spacing[1:].mean()) * 1.15
        self._to_body = to_body
        self._back = np.linalg.inv(to_body[:, :3])
        self._step = np.maximum(np.round(COARSE_MM / self.spacing), 1)
        self._along = []
        nodes = []
        for axis in range(3):
            count = int(np.ceil(shape[axis] / self._step[axis])) + 5
            nodes.append((np.arange(count) - 2) * self._step[axis])
            position = np.arange(shape[axis]) / self._step[axis] + 2
            self._along.append(cubic_matrix(position, count))
        self.coarse = self._warped(nodes, rng, warp)
        whole = self.box_of_everything()
        self.full = Place(*(self.lift(c, whole) for c in self._axes(self.coarse)))

    def _warped(self, nodes: list[np.ndarray], rng: np.random.Generator, warp: float) -> Place:
        mesh = np.meshgrid(*nodes, indexing="ij")
        origin = [n[0] for n in nodes]
        where = tuple((n - o) * s for n, o, s in zip(nodes, origin, self.spacing, strict=True))
        extent = np.array([w[-1] for w in where])
        found = []
        for row in range(3):
            matrix = self._to_body[row]
            plain = sum(m * axis for m, axis in zip(matrix[:3], mesh, strict=True)) + matrix[3]
            for wavelength, size in ((140.0, 3.4), (45.0, 1.2)):
                plain = plain + warp * size * smooth_field(rng, extent, where, wavelength)
            found.append(plain.astype(np.float32))
        return Place(found[2], found[1], found[0])

    @staticmethod
    def _axes(place: Place) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return place.x, place.y, place.z

    def box_of_everything(self) -> Box:
        """Return the box of all voxels."""
        return slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2])

    def voxels(self, points: np.ndarray) -> np.ndarray:
        """Find where points of the standard body lie, the warp included.

        Arguments:
            points: `(x, y, z)` in mm, `(n, 3)`.

        Returns:
            Voxel positions `(d, h, w)`, float, `(n, 3)`; they may lie outside the volume.
        """
        wanted = np.asarray(points, float)[:, ::-1]
        found = (wanted - self._to_body[:, 3]) @ self._back.T
        for _ in range(3):
            index = np.clip(np.round(found).astype(int), 0, np.array(self.shape) - 1)
            at = tuple(index.T)
            here = np.stack([self.full.z[at], self.full.y[at], self.full.x[at]], 1)
            found = index + (wanted - here) @ self._back.T
        return found

    def box(self, low: tuple, high: tuple, margin: float = 12.0) -> Box | None:
        """Return the voxels around a part of the standard body.

        Arguments:
            low: Smallest `(x, y, z)` in mm.
            high: Largest `(x, y, z)` in mm.
            margin: Room for the warp in mm.

        Returns:
            Slices, or None where the part lies outside the volume.
        """
        ends = np.array([np.array(low) - margin, np.array(high) + margin])
        corners = np.array([[x, y, z] for x in ends[:, 0] for y in ends[:, 1] for z in ends[:, 2]])
        at = (corners[:, ::-1] - self._to_body[:, 3]) @ self._back.T
        return self.clip(at.min(0), at.max(0))

    def clip(self, low: np.ndarray, high: np.ndarray) -> Box | None:
        """Turn voxel positions into slices, or None where nothing is inside."""
        start = np.maximum(np.floor(low).astype(int), 0)
        stop = np.minimum(np.ceil(high).astype(int) + 1, self.shape)
        if (stop <= start).any():
            return None
        return (
            slice(int(start[0]), int(stop[0])),
            slice(int(start[1]), int(stop[1])),
            slice(int(start[2]), int(stop[2])),
        )

    def part(self, box: Box) -> Box:
        """Return the coarse nodes around a box of voxels."""
        spans = []
        for axis in range(3):
            step = self._step[axis]
            start = int(np.floor(box[axis].start / step)) + 1
            stop = int(np.ceil((box[axis].stop - 1) / step)) + 5
            spans.append(slice(start, min(stop, self._along[axis].shape[1])))
        return spans[0], spans[1], spans[2]

    def nodes(self, box: Box) -> Place:
        """Return the coarse coordinates around a box."""
        return self.coarse[self.part(box)]

    def lift(self, coarse: np.ndarray, box: Box) -> np.ndarray:
        """Interpolate a coarse volume into a box.

        Arguments:
            coarse: Values on `nodes(box)` or on all coarse nodes.
            box: Voxels wanted.

        Returns:
            Values, float32, shaped as the box.
        """
        part = self.part(box)
        if coarse.shape == self.coarse.x.shape:
            coarse = coarse[part]
        along = [self._along[axis][box[axis], part[axis]] for axis in range(3)]
        return stretch(coarse, (along[0], along[1], along[2]))

    def weight(self, distance: np.ndarray, soft: float = 1.0) -> np.ndarray:
        """Turn a signed distance in mm into a share of the voxel (partial volume).

        Arguments:
            distance: Signed distance in mm, negative inside.
            soft: Width of the edge, in units of this canvas's voxel.

        Returns:
            Share of the voxel that is inside, 0 to 1.
        """
        return np.clip(0.5 - distance / (self.soft * soft), 0, 1)

    def blend(
        self, box: Box, weight: np.ndarray, value: np.ndarray | float, organ: int = -1
    ) -> None:
        """Mix a tissue into a box.

        Arguments:
            box: Voxels to paint.
            weight: Share of the new tissue, 0 to 1, shaped as the box.
            value: HU of the new tissue.
            organ: Label given where the share exceeds a half; -1 leaves labels alone.
        """
        self.hu[box] += weight * (value - self.hu[box])
        if organ >= 0:
            self.organ[box][weight > 0.5] = organ

    def paint(
        self, box: Box, distance: np.ndarray, value: np.ndarray | float, organ: int = -1
    ) -> None:
        """Mix a tissue in wherever a signed distance (mm) is negative; see `blend`."""
        self.blend(box, self.weight(distance), value, organ)
