"""How a restore takes its place: written down before the first move, to go on or back after a crash."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from restorium.hosts.image_folder.folder import flush, inside, place_new, place_over, write_durably
from restorium.vocabulary.errors import HostError


@dataclass(frozen=True, slots=True)
class Move:
    """A disk from its temporary name to its final one.

    old: a further name for the disk that it replaces, under which that one can be fetched back; None where
    nothing may stand under the final name. All three are relative to the folder.
    """

    temporary: str
    final: str
    old: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """removes: disks that no description names afterwards. replaces: a description stands there already."""

    moves: tuple[Move, ...]
    removes: tuple[str, ...]
    description: str
    replaces: bool

    def write(self, path: Path) -> None:
        write_durably(path, json.dumps(asdict(self)))
        flush(path.parent)

    @classmethod
    def read(cls, path: Path) -> Plan | None:
        """None if none was written. Raises HostError if it is not one of ours."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            plan = cls(
                tuple(Move(**move) for move in found["moves"]),
                tuple(found["removes"]),
                str(found["description"]),
                bool(found["replaces"]),
            )
            named = {name for move in plan.moves for name in (move.temporary, move.final, move.old or "")}
            for name in named.union(plan.removes):
                inside(path.parent, name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HostError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise HostError(f"{path} is not the plan of a restore", hint="Remove it.") from error
        return plan

    def move_in(self, folder: Path) -> None:
        """Every disk under its final name. Raises TargetExists; ``move_back`` then leads back."""
        for move in self.moves:
            temporary, final = folder / move.temporary, folder / move.final
            if not temporary.exists():
                if not final.exists():
                    raise HostError(f"{temporary} is gone", hint="Restore again.")
                continue
            if move.old is None or not final.exists():
                place_new(temporary, final)
            else:
                with suppress(FileExistsError):
                    os.link(final, folder / move.old)
                place_over(temporary, final)
        for parent in {(folder / move.final).parent for move in self.moves}:
            flush(parent)

    def move_back(self, folder: Path) -> None:
        """Every disk under its temporary name again, and what it replaced in its place."""
        for move in reversed(self.moves):
            temporary, final = folder / move.temporary, folder / move.final
            old = None if move.old is None else folder / move.old
            if not temporary.exists() and final.exists():
                os.link(final, temporary)
            if old is not None and old.exists():
                place_over(old, final)
            elif final.exists() and temporary.samefile(final):
                final.unlink()
        for parent in {(folder / move.final).parent for move in self.moves}:
            flush(parent)
