"""Which off-screen OpenGL this machine has, tried where a crash does no harm.

VTK does not raise without an OpenGL library, it takes the whole Python down. So a child process
draws first, and only what worked there is used here.
"""

import ctypes
import os
import subprocess
import sys
from functools import cache

CHOICE = "VTK_DEFAULT_OPENGL_WINDOW"
"""The environment variable by which VTK is told what to draw with."""
LIBRARIES = {"vtkEGLRenderWindow": "libEGL.so.1", "vtkOSOpenGLRenderWindow": "libOSMesa.so.8"}
PACKAGES = "libegl1 and libgl1-mesa-dri, or libosmesa6"
"""What Debian and Ubuntu call them."""
TRIAL = """
import vtkmodules.vtkRenderingOpenGL2
from vtkmodules.vtkCommonCore import vtkUnsignedCharArray
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow

window, renderer, pixels = vtkRenderWindow(), vtkRenderer(), vtkUnsignedCharArray()
window.SetOffScreenRendering(True)
window.SetSize(4, 4)
renderer.SetBackground(0, 1, 0)
window.AddRenderer(renderer)
window.Render()
window.GetPixelData(0, 0, 0, 0, 0, pixels, 0)
raise SystemExit(tuple(pixels.GetTuple(0)) != (0, 255, 0))
"""


class NoGraphics(RuntimeError):
    """Nothing on this machine draws off-screen; says what to install."""


def prepare() -> None:
    """Make VTK draw off-screen, with what was seen to work.

    Raises:
        NoGraphics: Where nothing does.
    """
    window = working_window()
    if window is None:
        raise NoGraphics(f"no off-screen OpenGL: install {PACKAGES}")
    if window:
        os.environ[CHOICE] = window


@cache
def working_window() -> str | None:
    """The class of render window that draws on this machine.

    Returns:
        Its name, "" where VTK's own choice does (there is no other outside Linux), or None.
    """
    return next((window for window in candidates() if draws(window)), None)


def candidates() -> list[str]:
    """What may work, best first: the user's choice, then what there are libraries for."""
    if sys.platform != "linux":
        return [""]
    chosen = os.environ.get(CHOICE)
    found = [window for window, library in LIBRARIES.items() if loads(library)]
    return [chosen, *found] if chosen else found


def loads(library: str) -> bool:
    """Whether a shared library is there and can be loaded."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def draws(window: str) -> bool:
    """Whether a child process can draw one picture with this class of render window."""
    environment = {**os.environ, CHOICE: window} if window else dict(os.environ)
    ended = subprocess.run(
        [sys.executable, "-c", TRIAL],
        env=environment,
        capture_output=True,
        timeout=300,
        check=False,
    )
    return ended.returncode == 0
