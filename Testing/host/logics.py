"""The logics of Slicer's modules, made in the order in which the application makes them."""

from dataclasses import dataclass, fields
from pathlib import Path

import slicer


@dataclass(frozen=True)
class ModuleLogics:
    """Slicer's own logics, all on one scene; fields are named after the modules.

    Arguments:
        application: What `slicer.app.applicationLogic()` returns.
    """

    application: slicer.vtkSlicerApplicationLogic
    colors: slicer.vtkSlicerColorLogic
    units: slicer.vtkSlicerUnitsLogic
    terminologies: slicer.vtkSlicerTerminologiesModuleLogic
    subjecthierarchy: slicer.vtkSlicerSubjectHierarchyModuleLogic
    transforms: slicer.vtkSlicerTransformLogic
    volumes: slicer.vtkSlicerVolumesLogic
    segmentations: slicer.vtkSlicerSegmentationsModuleLogic
    markups: slicer.vtkSlicerMarkupsLogic
    models: slicer.vtkSlicerModelsLogic
    tables: slicer.vtkSlicerTablesLogic
    texts: slicer.vtkSlicerTextsLogic
    sequences: slicer.vtkSlicerSequencesLogic
    cameras: slicer.vtkSlicerCamerasModuleLogic
    cropvolume: slicer.vtkSlicerCropVolumeLogic
    volumerendering: slicer.vtkSlicerVolumeRenderingLogic
    data: slicer.vtkSlicerDataModuleLogic

    def of_modules(self) -> dict[str, slicer.vtkMRMLAbstractLogic]:
        """Each module's logic, by its name in `slicer.modules`."""
        names = [field.name for field in fields(self) if field.name != "application"]
        return {name: getattr(self, name) for name in names}


def make_logics(scene: slicer.vtkMRMLScene, home: Path) -> ModuleLogics:
    """Start application and modules on a scene, as Slicer does when it starts.

    Arguments:
        scene: A new scene.
        home: Stands for the application's folder: colour tables lie in `home/share/ColorFiles`,
            a module's files in `home/share/<module>`, temporary files go to `home/tmp`.

    Returns:
        The logics. Each has registered its classes of nodes with the scene.
    """
    application = slicer.vtkSlicerApplicationLogic()
    application.SetHomeDirectory(str(home))
    application.SetShareDirectory("share")
    application.SetTemporaryPath(str(home / "tmp"))
    colors = slicer.vtkSlicerColorLogic()
    colors.SetMRMLApplicationLogic(application)
    application.SetColorLogic(colors)
    colors.SetMRMLScene(scene)
    application.SetMRMLScene(scene)
    application.SetModuleLogic("Colors", colors)
    logics = {"application": application, "colors": colors}
    for field in fields(ModuleLogics)[2:]:
        # A logic without an application logic cannot take a scene.
        logic = logics[field.name] = field.type()
        logic.SetMRMLApplicationLogic(application)
        if isinstance(logic, slicer.vtkSlicerModuleLogic):
            logic.SetModuleShareDirectory(str(home / "share" / field.name))
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(module_name(field.name), logic)
    return ModuleLogics(**logics)


def module_name(name: str) -> str:
    """The module's name in the application, of which `name` is the one in `slicer.modules`."""
    longer = {
        "subjecthierarchy": "SubjectHierarchy",
        "cropvolume": "CropVolume",
        "volumerendering": "VolumeRendering",
    }
    return longer.get(name, name.capitalize())
