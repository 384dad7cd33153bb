"""A process that watches a machine that never says its marker, until it is killed.

python -m tests.support.boot_child DISK
"""

from __future__ import annotations

import sys
from pathlib import Path

from restorium.emulator import Machine, boot, pattern

if __name__ == "__main__":
    boot([(Path(sys.argv[1]), "raw")], pattern("never said"), Machine(60, 64, 1))
