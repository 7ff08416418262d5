"""The version of this software; packaging and every result read it from here."""

VERSION = "0.1.0"
