"""The Slicer side of Screener: nodes, the child process, install and export, without widgets."""
