"""The panel, and the only code here that knows Qt."""
