"""Texts that come from files and their names, made harmless for terminals and spreadsheets."""

import unicodedata

_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
"""What a spreadsheet takes for the beginning of a formula, in both widths."""
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Unicode's categories of control and format characters, stray surrogates and line ends."""


def plain(text: str) -> str:
    r"""Write out what a terminal would obey and not show: escapes, bells, turned directions.

    Bytes of a file name that are no UTF-8, which Python keeps as lone surrogates, are written out
    as the bytes that they are.

    Example:
        >>> print(plain("a\x1b[2Jb \udcfc \u202e ä"))
        a\x1b[2Jb \xfc \u202e ä
    """
    return "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if unicodedata.category(letter) not in _HIDDEN:
        return letter
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def cell(text: str) -> str:
    r"""Keep a text in a table from being taken for a formula by a spreadsheet.

    Example:
        >>> cell("=1+1"), cell(" \r\n@A1"), cell("left lung")
        ("'=1+1", "' \r\n@A1", 'left lung')
    """
    begin = text.lstrip()[:1]
    harmful = (begin and begin in _FORMULA) or text.startswith(("\t", "\r", "\n"))
    return f"'{text}" if harmful else text
