"""The one exception that a user, not a programmer, is meant to read."""

from ctscreener.texts import plain


class InputError(Exception):
    """A scan, a model, an option or a disk that cannot be used: exit status 2.

    Its text is one line: what was expected, what was found, what to do.

    Arguments:
        code: A short, stable name for programs, such as `scan.too_few_slices`.
        message: What was expected and what was found, as one or two sentences.
        action: What the user can do about it, as one sentence.

    Example:
        >>> str(InputError("scan.missing", "No such file: a.nii.gz.", "Check the path."))
        'No such file: a.nii.gz. Check the path.'
    """

    def __init__(self, code: str, message: str, action: str) -> None:
        self.code = code
        # Names of files and texts in them may hold what a terminal would obey.
        self.message = plain(" ".join(message.split()))
        self.action = plain(" ".join(action.split()))
        super().__init__(" ".join(f"{self.message} {self.action}".split()))

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str, str]]:
        """Pass from one process to another with all three parts."""
        return type(self), (self.code, self.message, self.action)
