"""Rivals that Screener is measured against; one file a method."""
