"""The version of this package; everything below the package's own file asks for it here."""

__version__ = "0.1.0"
