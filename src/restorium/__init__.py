"""Restorium: a backup and restore manager for virtual machines.

The rooms and who may import whom are described in docs/architecture.md.
"""

__version__ = "0.1.0"
