"""Trains Screener and its rivals on unlabelled CT scans, and measures them; imports `ctscreener`, never the reverse."""
