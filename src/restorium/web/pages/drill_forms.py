"""Making a drill plan, changing and removing it."""

from __future__ import annotations

from starlette.responses import Response

from restorium.native.drill_plans import BootCheck, Checks, DrillPlan, DrillVm, FileCheck, NewDrillPlan
from restorium.vocabulary.errors import InvalidInput, RestoriumError
from restorium.vocabulary.ids import parse_guid
from restorium.vocabulary.timing import parse_duration, write_duration
from restorium.web.inventory import key, vm_of
from restorium.web.scheduling import CHOICES, schedule_fields, schedule_of
from restorium.web.visit import Form, Page, Visit, retold

_ONE = "/drill-plans/{id}"
_USUAL = {
    "objective": "15m",
    "choose": "percent",
    "percent": "10",
    "filesystems": "yes",
    "boot_time": "5m",
    "boot_memory": "1024",
    "boot_cpus": "1",
}


def _new(visit: Visit, error: RestoriumError | None = None) -> Response:
    form = Form.of({**_USUAL, **schedule_fields(None)}) if error is None else visit.form
    return _page(visit, error, form, None)


@retold(_new)
def _add(visit: Visit) -> Response:
    added = visit.api.post("/drill-plans", _plan(visit.form))
    return visit.go("/drills", done="added", plan=str(added.id))


def _edit(visit: Visit, error: RestoriumError | None = None) -> Response:
    plan: DrillPlan = visit.api.get(_ONE, id=visit.place("id"))
    return _page(visit, error, _fields(plan) if error is None else visit.form, plan)


@retold(_edit)
def _change(visit: Visit) -> Response:
    plan_id = visit.place("id")
    visit.api.get(_ONE, id=plan_id)
    if visit.form["what"] == "removed":
        visit.api.delete(_ONE, id=plan_id)
        return visit.go("/drills", done="removed")
    visit.api.put(_ONE, _plan(visit.form), id=plan_id)
    return visit.go("/drills", done="changed")


def _page(visit: Visit, error: RestoriumError | None, form: Form, plan: DrillPlan | None) -> Response:
    visit.need("POST", "/drill-plans")
    return visit.again(
        error,
        "drill_form.html",
        form=form,
        plan=plan,
        hosts=visit.api.every("/hosts"),
        vms=visit.api.get("/vms").items,
        jobs=visit.api.every("/jobs"),
        key=key,
        choices=CHOICES,
    )


def _plan(form: Form) -> NewDrillPlan:
    """Raises InvalidInput."""
    if not form["sandbox"]:
        raise InvalidInput("no sandbox is chosen", hint="Choose a host of whose VMs none is backed up.")
    named = form["choose"] == "vms"
    percent = None if named else form.number("percent", "per cent of the VMs", 1)
    if not named and percent is None:
        raise InvalidInput("it is not said how many VMs a run has", hint="Write a number of per cent.")
    marker = form.text("boot")
    boot = None
    if marker is not None:
        boot = BootCheck(
            marker,
            parse_duration(form["boot_time"]),
            form.number("boot_memory", "MiB of memory", 1) or 1024,
            form.number("boot_cpus", "processors", 1) or 1,
        )
    vms = [vm_of(each) for each in form.all("vm")] if named else []
    return NewDrillPlan(
        form["name"],
        parse_guid(form["sandbox"]),
        parse_duration(form["objective"]),
        [DrillVm(vm.host_id, vm.vm_ref) for vm in vms],
        percent,
        [] if named else [parse_guid(each) for each in form.all("job")],
        Checks("filesystems" in form, [_file(line) for line in form.lines("files")], boot),
        schedule_of(form),
    )


def _file(line: str) -> FileCheck:
    """``PATH`` or ``PATH=SHA256``, as the commands take it."""
    path, _, sha256 = line.partition("=")
    return FileCheck(path, not_empty=True, sha256=sha256 or None)


def _fields(plan: DrillPlan) -> Form:
    checks, boot = plan.checks, plan.checks.boot
    files = [each.path + (f"={each.sha256}" if each.sha256 else "") for each in checks.files]
    fields = _USUAL | {
        "name": plan.name,
        "sandbox": str(plan.sandbox_host_id),
        "objective": write_duration(plan.objective_seconds),
        "choose": "vms" if plan.percent is None else "percent",
        "percent": str(plan.percent or 10),
        "files": "\n".join(files),
        "boot": boot.marker if boot else "",
    }
    if boot is not None:
        fields |= {
            "boot_time": write_duration(boot.seconds),
            "boot_memory": str(boot.memory_mib),
            "boot_cpus": str(boot.cpus),
        }
    return Form.of(
        {
            **fields,
            "filesystems": "yes" if checks.filesystems else [],
            "vm": [key(vm.host_id, vm.vm_ref) for vm in plan.vms],
            "job": [str(job_id) for job_id in plan.job_ids],
            **schedule_fields(plan.schedule),
        }
    )


PAGES = (
    Page("GET", "/drills/new", _new),
    Page("POST", "/drills/new", _add),
    Page("GET", "/drills/{id}/edit", _edit),
    Page("POST", "/drills/{id}/edit", _change),
)
