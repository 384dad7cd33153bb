"""All trials by name."""

from __future__ import annotations

from trials import (
    bit_flips,
    cancels,
    chains,
    changed_lists,
    crash_points,
    drills,
    followers,
    interleavings,
    qemu_bitmaps,
    restarts,
    storage_faults,
)

TRIALS = {
    module.TRIAL.name: module.TRIAL
    for module in (
        chains,
        crash_points,
        interleavings,
        bit_flips,
        storage_faults,
        changed_lists,
        qemu_bitmaps,
        cancels,
        drills,
        followers,
        restarts,
    )
}
