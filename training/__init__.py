"""Trains Screener and its rivals on unlabelled CT scans, and measures them.

It imports `ctscreener`, never the reverse.
"""
