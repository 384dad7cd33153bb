"""A VM's disks started in QEMU, to see whether they boot. Only the serial console is watched.

The disks are read and never written: what the guest writes goes to a temporary file without a name. There is no
network, no display and no monitor, memory and processors are bounded, and QEMU may start no other program.

Invariants: no QEMU outlives the thread that started it, whatever becomes of that; the thread waits for its end. No
guest runs longer than it was given.
"""

from restorium.emulator.qemu import MOST_DISKS, Booted, Machine, boot, find_qemu, pattern

__all__ = ["MOST_DISKS", "Booted", "Machine", "boot", "find_qemu", "pattern"]
