"""The words every other room uses: identifiers, states, references, specifications and errors.

Everything here is a frozen value or a pure function. The package imports nothing of Restorium's, performs no
input or output, and therefore has nothing that a crash could leave half done.
"""
