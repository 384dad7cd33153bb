"""`python -m restorium` is the program `restorium`."""

from restorium.cli import main

main()
