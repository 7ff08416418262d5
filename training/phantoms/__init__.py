"""Procedural torso CTs in HU, with lesions whose masks are known."""
