"""Pictures of panel and views, with a label that says what they are."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from PySide6 import QtGui, QtWidgets

from Testing.host.views import Views

LABEL = "test host, not 3D Slicer"
BAR = 18
"""Height of the bar with the label, in pixels."""
GAP = 4
"""Space between pictures, in pixels."""
GREY = (70, 70, 70)


def labelled(picture: Image.Image) -> Image.Image:
    """Put a bar with the label under a picture."""
    made = Image.new("RGB", (picture.width, picture.height + BAR), GREY)
    made.paste(picture, (0, 0))
    ImageDraw.Draw(made).text((GAP, picture.height + GAP), LABEL, fill=(255, 255, 255))
    return made


def save_view(pixels: np.ndarray, path: Path) -> None:
    """Write the pixels of one view, uint8 `(height, width, 3)`, as a labelled picture."""
    labelled(Image.fromarray(pixels)).save(path)


def window_picture(panel: QtWidgets.QWidget | None, views: Views | None) -> Image.Image:
    """Panel on the left, the views of the layout on the right, the label below."""
    parts = []
    if panel is not None:
        parts.append(_of_widget(panel))
    if views is not None:
        parts.append(_of_views(views))
    width = sum(part.width + GAP for part in parts)
    made = Image.new("RGB", (width, max(part.height for part in parts)), GREY)
    left = 0
    for part in parts:
        made.paste(part, (left, 0))
        left += part.width + GAP
    return labelled(made)


def _of_widget(widget: QtWidgets.QWidget) -> Image.Image:
    image = widget.grab().toImage().convertToFormat(QtGui.QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    return Image.fromarray(rows[:, : image.width() * 3].reshape(image.height(), -1, 3).copy())


def _of_views(views: Views) -> Image.Image:
    rows = [[Image.fromarray(view.pixels()) for view in row] for row in views.in_layout()]
    sizes = zip(*(picture.size for row in rows for picture in row), strict=True)
    width, height = (max(lengths) + GAP for lengths in sizes)
    made = Image.new("RGB", (len(rows[0]) * width - GAP, len(rows) * height - GAP), GREY)
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            made.paste(picture, (across * width, down * height))
    return made
