"""How long work reports where it is: one function, passed in."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as `progress(stage, done, total)`, with `done == total` when the stage has ended."""


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing.

    Arguments:
        stage: What is being done, such as `scoring`.
        done: Steps finished.
        total: Steps of this stage.
    """
