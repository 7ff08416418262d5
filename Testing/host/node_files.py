"""What `slicer.app.coreIOManager()` returns: reads and writes the files of nodes.

The functions of `slicer.util` that load and save go through it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import slicer
import vtk

from Testing.host.scene import SlicerScene

ENDINGS = (".seg.nrrd", ".seg.nhdr", ".nii.gz", ".mrk.json")
"""Endings of two parts."""
WRITERS = {
    "vtkMRMLSegmentationNode": "SegmentationFile",
    "vtkMRMLTableNode": "TableFile",
    "vtkMRMLModelNode": "ModelFile",
    "vtkMRMLTextNode": "TextFile",
}
"""Types of files by class of node; a volume's is all others'."""

Properties = Mapping[str, Any]


@final
class NodeFiles:
    """Reads and writes volumes, segmentations, markups, tables, models and scenes.

    Arguments:
        host: The scene to read into and write from.
    """

    def __init__(self, host: SlicerScene) -> None:
        self._host = host
        self._readers: dict[str, Callable[[str, str, Properties], slicer.vtkMRMLNode | None]] = {
            "VolumeFile": self._volume,
            "SegmentationFile": self._segmentation,
            "MarkupsFile": self._markups,
            "TableFile": self._table,
            "ModelFile": self._model,
        }

    def loadNodes(
        self,
        kind: str,
        properties: Properties,
        loaded: vtk.vtkCollection | None = None,
        messages: object = None,
    ) -> bool:
        """Read a file.

        Arguments:
            kind: Slicer's name for the type of file, such as `VolumeFile`.
            properties: `fileName`, and what else that type understands.
            loaded: Receives the node.
            messages: Not used.

        Returns:
            Whether it was read.
        """
        path = properties["fileName"]
        if kind == "SceneFile":
            return self._scene(path, bool(properties.get("clear", False)))
        name = properties.get("name") or Path(path).name.removesuffix(self._ending(path))
        node = self._readers[kind](path, name, properties)
        if node is not None and loaded is not None:
            loaded.AddItem(node)
        return node is not None

    def _scene(self, path: str, clear: bool) -> bool:
        scene = self._host.scene
        if path.endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, clear))
        scene.SetURL(path)
        return bool(scene.Connect() if clear else scene.Import())

    def _volume(self, path: str, name: str, properties: Properties) -> slicer.vtkMRMLNode | None:
        flags = (("labelmap", 1), ("center", 2), ("singleFile", 4))
        options = sum(flag for key, flag in flags if properties.get(key))
        return self._host.logics.volumes.AddArchetypeVolume(path, name, options)

    def _segmentation(self, path: str, name: str, _: Properties) -> slicer.vtkMRMLNode | None:
        return self._host.logics.segmentations.LoadSegmentationFromFile(path, True, name)

    def _markups(self, path: str, name: str, _: Properties) -> slicer.vtkMRMLNode | None:
        node_id = self._host.logics.markups.LoadMarkups(path, name)
        return self._host.scene.GetNodeByID(node_id) if node_id else None

    def _table(self, path: str, name: str, _: Properties) -> slicer.vtkMRMLNode | None:
        return self._host.logics.tables.AddTable(path, name)

    def _model(self, path: str, _: str, __: Properties) -> slicer.vtkMRMLNode | None:
        return self._host.logics.models.AddModel(path)

    def saveNodes(self, kind: str, properties: Properties, messages: object = None) -> bool:
        """Write a node, or the scene.

        Arguments:
            kind: Slicer's name for the type of file.
            properties: `nodeID` and `fileName`, and `useCompression` if not wanted.
            messages: Not used.

        Returns:
            Whether it was written.
        """
        path = properties["fileName"]
        if kind == "SceneFile":
            return self._save_scene(path)
        node = self._host.scene.GetNodeByID(properties["nodeID"])
        node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        storage.SetUseCompression(int(properties.get("useCompression", True)))
        return bool(storage.WriteData(node))

    def _save_scene(self, path: str) -> bool:
        if path.endswith(".mrb"):
            return bool(self._host.scene.WriteToMRB(path))
        self._host.scene.SetURL(path)
        return bool(self._host.scene.Commit())

    def fileWriterFileType(self, node: slicer.vtkMRMLNode, ending: str = "") -> str:
        """The type of file that holds such a node."""
        return WRITERS.get(node.GetClassName(), "VolumeFile")

    def extractKnownExtension(self, path: str, node: slicer.vtkMRMLNode | None = None) -> str:
        """The ending of a file's name, with both parts where there are two."""
        return self._ending(path)

    def _ending(self, path: str) -> str:
        return next((end for end in ENDINGS if path.endswith(end)), Path(path).suffix)
