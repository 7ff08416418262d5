"""The choice of a model, with its card: bundled ones, the user's, and folders of any other."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import final

from ScreenerSlicerLib.panel.settings import MODEL, Settings
from ScreenerSlicerLib.preflight.models import BUNDLED, ModelFolder, find_models, read_model
from ScreenerSlicerLib.translation import tr as _


@final
class ModelPanel:
    """Lets the user choose a model. Nothing is fetched from anywhere.

    Arguments:
        ui: The widgets by their names.
        settings: Where the choice is kept.
        on_change: Called when another model was chosen.
    """

    def __init__(
        self, ui: SimpleNamespace, settings: Settings, on_change: Callable[[], None]
    ) -> None:
        self._ui = ui
        self._settings = settings
        self._on_change = on_change
        self._models: list[ModelFolder] = []
        self._speeds = ui.qualityBox.toolTip
        self._fill()
        ui.modelBox.connect("currentIndexChanged(int)", self._choose)
        ui.modelFolderEdit.connect("currentPathChanged(QString)", self._add)

    @property
    def model(self) -> ModelFolder | None:
        """The model that is chosen; None where there is none at all."""
        index = self._ui.modelBox.currentIndex
        return self._models[index] if 0 <= index < len(self._models) else None

    def refresh(self) -> None:
        """Look at the models again: packages with weights may be there by now."""
        self._fill()
        self._on_change()

    def _fill(self) -> None:
        """List the models, and choose the one that was chosen last."""
        self._models = find_models(self._settings.model_folders())
        box = self._ui.modelBox
        blocked = box.blockSignals(True)
        box.clear()
        for model in self._models:
            box.addItem(model.label())
        folders = [str(model.folder) for model in self._models]
        last = self._settings.get(MODEL, "")
        box.setCurrentIndex(folders.index(last) if last in folders else 0)
        box.blockSignals(blocked)
        self._show_card()

    def _choose(self, index: int) -> None:
        self._settings[MODEL] = str(self._models[index].folder)
        self._show_card()
        self._on_change()

    def _show_card(self) -> None:
        model = self.model
        self._ui.modelCard.setMarkdown(model.card_text() if model else "")
        self._ui.modelPlaceLabel.text = _place(model)
        one_speed = model is not None and model.one_speed
        self._ui.qualityBox.enabled = not one_speed
        why = _("This model sees the whole scan at once, without tiles: it has one speed")
        self._ui.qualityBox.toolTip = why if one_speed else self._speeds

    def _add(self, path: str) -> None:
        """Take in a folder that the user has chosen, once it is one."""
        folder = Path(path)
        if not path or not folder.is_dir():
            self._ui.modelFolderLabel.text = ""
            return
        model = read_model(folder.resolve())
        if model.problem:
            self._ui.modelFolderLabel.text = _("This is no usable model: {problem}.").format(
                problem=model.problem
            )
            return
        self._ui.modelFolderLabel.text = _("Added: {name}").format(name=model.name)
        self._settings.add_model_folder(model.folder)
        self._settings[MODEL] = str(model.folder)
        self._fill()
        self._on_change()


def _place(model: ModelFolder | None) -> str:
    """Write where a model is from."""
    if model is None:
        return ""
    bundled = model.folder.parent == BUNDLED
    place = _("Comes with this extension") if bundled else str(model.folder)
    return f"{place}, {model.identity()}" if model.sha256 else place
