"""The form that a restore is asked for with, as what the native API takes."""

from __future__ import annotations

from uuid import UUID

from restorium.native.hosts import RestoreHost
from restorium.native.restores import NewPlacement, NewRestore
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.ids import parse_guid
from restorium.web.visit import FieldRefused, Form, Visit

BESIDE, OVER = "beside", "over"
_LEAVE_OUT = "Leave it empty, or choose a host that has them."


def targets(visit: Visit, point_id: UUID) -> list[RestoreHost]:
    """Hosts that the visitor may restore the point to, its own among them."""
    if not visit.api.may("GET", "/restore-hosts"):
        return []
    found: list[RestoreHost] = visit.api.get("/restore-hosts", {"restore_point": str(point_id)}).items
    return found


def as_asked(visit: Visit, form: Form, own: UUID) -> NewRestore:
    """What the form asks for of the point whose host is ``own``.

    Fields of the way that is not chosen are left aside. Raises InvalidInput.
    """
    point_id, how = parse_guid(visit.place("id")), form["how"] or BESIDE
    if how == OVER:
        return NewRestore(point_id, quick_rollback="quick" in form, power_on="power_on" in form)
    if how != BESIDE:
        raise InvalidInput(f"{how!r} is no way to restore", hint="Choose one on the restore point's page.")
    asked = NewRestore(
        point_id,
        keep_original=True,
        new_name=form.text("name"),
        host_id=parse_guid(form["host"]) if form["host"] else None,
        # A VM that runs at once is powered on already.
        power_on="power_on" in form and "instant" not in form,
        placement=NewPlacement(form.text("container"), form.text("storage"), _networks(form)),
        instant="instant" in form,
    )
    target = next((host for host in targets(visit, point_id) if host.id == (asked.host_id or own)), None)
    if target is not None:
        _hold(asked, target)
    return asked


def fields_of(asked: NewRestore) -> list[tuple[str, str]]:
    """The form that asks for it, as names and values."""
    fields = [("how", BESIDE if asked.keep_original else OVER)]
    fields += [("name", asked.new_name)] if asked.new_name else []
    fields += [("host", str(asked.host_id))] if asked.host_id else []
    ticked = {"quick": asked.quick_rollback, "power_on": asked.power_on, "instant": asked.instant}
    fields += [(name, "yes") for name, is_so in ticked.items() if is_so]
    named = {"container": asked.placement.container, "storage": asked.placement.storage}
    fields += [(name, text) for name, text in named.items() if text]
    for source, network in asked.placement.networks.items():
        fields += [("from", source), ("network", network)]
    return fields


def networks_of(form: Form) -> dict[str, str]:
    """What is typed beside each network of the restore point."""
    return dict(zip(form.all("from"), form.all("network"), strict=False))


def _networks(form: Form) -> dict[str, str]:
    return {source: text.strip() for source, text in networks_of(form).items() if text.strip()}


def _hold(asked: NewRestore, target: RestoreHost) -> None:
    """Say beside the field what the host does not offer. Raises FieldRefused."""
    if asked.instant and not target.instant:
        raise FieldRefused(
            "instant",
            f"the host {target.name} cannot run a VM from its restore point",
            hint="Take the tick away, or choose a host that can.",
        )
    placement = asked.placement
    offered = {
        "container": (placement.container, "folders and resource pools"),
        "storage": (placement.storage, "storage"),
        "network": (placement.networks, "networks"),
    }
    for name, (given, what) in offered.items():
        if given and not target.places:
            raise FieldRefused(name, f"the host {target.name} offers no choice of {what}", hint=_LEAVE_OUT)
