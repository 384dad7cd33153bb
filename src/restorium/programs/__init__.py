"""Other programs, run as children that end when the thread that started them does."""

from restorium.programs.children import find, leashed

__all__ = ["find", "leashed"]
