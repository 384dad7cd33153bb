"""What bodies that ask for restores of VMs and of vApps have in common."""

from __future__ import annotations

from uuid import UUID

from restorium.em.bodies import Field, Spec, Values, boolean, text
from restorium.em.call import Call
from restorium.flows import restore as flows
from restorium.vocabulary.errors import InvalidInput, Unsupported
from restorium.vocabulary.hierarchy import HierarchyRef
from restorium.vocabulary.ids import parse_uid


def _root(value: str) -> UUID | None:
    """A hierarchy root; None if the element is empty."""
    return parse_uid(value.strip(), "HierarchyRoot") if value.strip() else None


_PARAMETERS = (
    Field("VmRestorePointUid", lambda value: parse_uid(value.strip(), "VmRestorePoint")),
    Field("VmNewName", text),
    Field("DatastoreRef", text),
    Field("OrgVdcStorageProfileRef", text),
    Field("LinkedCloneVmTemplateRef", text),
)
_OF_VM = Field("VmRestoreParameters", Spec("VmRestoreParameters", _PARAMETERS))
_VM = Spec(
    "VmRestoreSpec",
    (
        Field("PowerOnAfterRestore", boolean),
        Field("HierarchyRootUid", _root),
        Field("QuickRollback", boolean),
        Field("KeepOriginalVM", boolean),
        _OF_VM,
    ),
)
_CLOUD_VM = Spec(
    "vCloudVmRestoreSpec",
    (
        Field("PowerOnAfterRestore", boolean),
        Field("HierarchyRootUid", _root),
        Field("vAppRef", text),
        _OF_VM,
    ),
)
_CLOUD_VAPP = Spec(
    "vCloudVAppRestoreSpec",
    (
        Field("PowerOnAfterRestore", boolean),
        Field("HierarchyRootUid", _root),
        Field("OrgVdcRef", text),
        Field("vAppNewName", text),
        Field(
            "VmsRestoreParameters",
            Spec(
                "VmsRestoreParameters",
                (Field("Vm", Spec("Vm", _PARAMETERS, type="VmOfVAppRestoreParametersType"), many="Vm"),),
            ),
        ),
    ),
)
RESTORE_BODY = Spec(
    "RestoreSpec",
    tuple(Field(spec.name, spec) for spec in (_VM, _CLOUD_VM, _CLOUD_VAPP)),
    one_of=True,
)
"""One body for restores of VMs and of vApps, as the interface has it; each action reads the elements of its own."""
_STORAGES = ("DatastoreRef", "OrgVdcStorageProfileRef")
_LINKED = "LinkedCloneVmTemplateRef"


def refuse_linked(parameters: Values) -> None:
    """Raises Unsupported for a linked clone."""
    if _LINKED in parameters:
        raise Unsupported(f"{_LINKED} is not offered: VMs are restored whole", hint=f"Leave {_LINKED} out.")


def storage(call: Call, root: UUID, parameters: Values) -> str | None:
    """The host's own ref of the datastore or storage profile that is named. Raises Unsupported, InvalidInput."""
    refs = [object_of(call, root, parameters[each]) for each in _STORAGES if each in parameters]
    if len(refs) > 1:
        raise InvalidInput(
            "the disks of a VM go to one datastore or storage profile",
            hint=f"Name one of {' and '.join(_STORAGES)}.",
        )
    return refs[0] if refs else None


def object_of(call: Call, root: UUID, reference: str) -> str:
    """The host's own ref of an object in which a VM can be placed. Raises Unsupported, InvalidInput."""
    with call.engine.database.read() as connection:
        flows.check_places(connection, root)
    named = HierarchyRef.parse(reference.strip())
    if named.root != root:
        raise InvalidInput(
            f"{reference} is not of its host {root}", hint="Name objects as the look-up gives them."
        )
    return named.ref
