"""Which tests go to the same process, where several test."""

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

SLICER_FOLDERS = ("host", "module", "slicer")


class FilesAndApplication(LoadScopeScheduling):
    """A file stays together, and so does all that Slicer's libraries are in.

    One process holds one application, which leaves things behind that the next file counts on or
    meets: these folders run in one process and in their order, as they do where only one tests.
    (The mark `xdist_group` would say the same, but pytest 9.2 keeps xdist 3.8 from seeing it.)
    """

    def _split_scope(self, nodeid: str) -> str:
        path = PurePosixPath(nodeid.split("::")[0])
        slicer = path.parent.name in SLICER_FOLDERS and path.parts[0] == "Testing"
        return "slicer" if slicer else str(path)
