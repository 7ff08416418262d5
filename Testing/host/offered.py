"""What every supported Slicer has: a stand-in that offers more would hide a fault of the module.

Known from the documentation and the headers of Slicer 5.10, 5.12 and 5.13 and of the CTK that they
use. A name that is added here was looked up in the oldest of them.
"""

_RANGE = """decimals maximum minimum setDecimals setMaximum setMinimum setRange setSingleStep
    setSuffix setTickInterval setTracking singleStep suffix tickInterval tracking"""

OFFERED: dict[str, frozenset[str]] = {
    name: frozenset(names.split())
    for name, names in {
        "ctkRangeWidget": f"""{_RANGE} maximumValue maximumValueChanged minimumValue
            minimumValueChanged rangeChanged setMaximumValue setMinimumValue setSymmetricMoves
            setValues symmetricMoves valuesChanged""",
        "ctkSliderWidget": f"""{_RANGE} pageStep popupSlider prefix reset setPageStep
            setPopupSlider setPrefix setSpinBoxVisible setValue spinBox spinBoxVisible value
            valueChanged valueIsChanging""",
        "ctkCollapsibleButton": """collapsed collapsedHeight contentsCollapsed contentsFrameShadow
            contentsFrameShape contentsLineWidth contentsMidLineWidth flat setCollapsed
            setCollapsedHeight setContentsFrameShadow setContentsFrameShape setContentsLineWidth
            setContentsMidLineWidth setFlat""",
        "ctkCollapsibleGroupBox": "collapsed collapsedHeight setCollapsed setCollapsedHeight",
        "ctkComboBox": "defaultText scrollWheelEffect setDefaultText setScrollWheelEffect",
        "ctkCheckBox": "",
        "ctkPushButton": "buttonTextAlignment setButtonTextAlignment",
        "ctkMessageBox": """dontShowAgainSettingsKey dontShowAgainVisible
            setDontShowAgainSettingsKey setDontShowAgainVisible""",
        "ctkPathLineEdit": """Dirs Drives Executable Files Hidden Modified NoDotAndDotDot
            NoSymLinks Readable System Writable addCurrentPathToHistory browse comboBox currentPath
            currentPathChanged filters label minimumContentsLength nameFilters options
            retrieveHistory setCurrentPath setFilters setLabel setMinimumContentsLength
            setNameFilters setOptions setSettingKey setShowBrowseButton setShowHistoryButton
            setSizeAdjustPolicy settingKey showBrowseButton showHistoryButton sizeAdjustPolicy
            validInputChanged""",
        "ctkDirectoryButton": """browse caption directory directoryChanged directorySelected
            setCaption setDirectory""",
        "qMRMLColorTableComboBox": "",
        "qMRMLNodeComboBox": """addAttribute addEnabled addNode baseName currentNode
            currentNodeChanged currentNodeID currentNodeIDChanged editEnabled hideChildNodeTypes
            interactionNodeSingletonTag mrmlScene mrmlSceneChanged nodeActivated nodeCount
            nodeFromIndex nodeTypes nodes noneDisplay noneEnabled removeAttribute removeEnabled
            renameEnabled selectNodeUponCreation setAddEnabled setBaseName setCurrentNode
            setCurrentNodeID setCurrentNodeIndex setEditEnabled setHideChildNodeTypes
            setInteractionNodeSingletonTag setMRMLScene setNodeTypeLabel setNodeTypes
            setNoneDisplay setNoneEnabled setRemoveEnabled setRenameEnabled
            setSelectNodeUponCreation setShowChildNodeTypes setShowHidden showChildNodeTypes
            showHidden""",
        "qMRMLWidget": "mrmlScene mrmlSceneChanged setMRMLScene",
        "qSlicerWidget": "",
        "qMRMLTableView": "mrmlTableNode setMRMLScene setMRMLTableNode",
        "qMRMLSliderWidget": """quantity setMRMLScene setQuantity setUnitAwareProperties
            unitAwareProperties""",
        "qMRMLRangeWidget": """quantity setMRMLScene setQuantity setUnitAwareProperties
            unitAwareProperties""",
        "ctkDICOMDatabase": """allFiles closeDatabase databaseChanged databaseDirectory
            databaseFilename descriptionForSeries descriptionForStudy displayedNameForPatient
            fieldForPatient fieldForSeries fieldForStudy fileExistsAndUpToDate fileForInstance
            fileValue filesForSeries insert instanceForFile instanceValue instancesForSeries
            isInMemory isOpen lastError nameForPatient patientForStudy patients prepareInsert
            removePatient removeSeries removeStudy seriesForFile seriesForStudy studiesForPatient
            studyForSeries""",
    }.items()
}
"""Signals, properties and methods of each class, beside those of Qt."""

NEWER = {
    "nodeAddedByUserAction": "a signal of qMRMLNodeComboBox, missing in 5.10",
    "SetWindowMappingMethod": "of the display of volumes, missing in 5.10",
    "launchConsoleProcess": "of slicer.util, with other arguments in 5.10",
    "registerCustomSampleDataCategory": "of SampleData, missing in 5.10",
    "executePythonModule": "of slicer.util, with an underscore in 5.10",
    "QTextCodec": "of Qt 5 alone",
    "slicer.packaging": "missing in 5.10",
    "imp": "gone with Python 3.12",
}
"""What not every supported Slicer has, and why it is not to be used unasked."""
