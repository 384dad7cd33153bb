"""How long a job's restore points are kept, as GfsRetentionPolicy and SimpleRetentionPolicy, to show and to read."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Any, NamedTuple

from restorium.catalog import jobs
from restorium.catalog.listing import Row
from restorium.em.bodies import Field, Spec, Values, boolean
from restorium.em.documents import Resource
from restorium.em.resources.job_schedule import integer
from restorium.em.shapes import Child, Shape
from restorium.em.values import BOOLEAN, INTEGER, enumeration
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.retention import (
    Gfs,
    KeepMonthly,
    KeepWeekly,
    KeepYearly,
    RetainBy,
    Retention,
    WeekOfMonth,
)
from restorium.vocabulary.schedule import Month, Weekday

_POINTS, _DAYS = 14, 14
"""Remembered for the way of counting that a new policy does not use."""


class _Period(NamedTuple):
    """A block of GfsRetentionPolicy: its name, element and enumeration, and the value that it stands for.

    field: of Gfs. number, selected: of that field's value.
    """

    name: str
    element: str
    members: type[StrEnum]
    kind: type[KeepWeekly] | type[KeepMonthly] | type[KeepYearly]
    field: str
    number: str
    selected: str


_PERIODS = (
    _Period("Weekly", "SelectedDay", Weekday, KeepWeekly, "weekly", "weeks", "day"),
    _Period("Monthly", "SelectedWeek", WeekOfMonth, KeepMonthly, "monthly", "months", "week"),
    _Period("Yearly", "SelectedMonth", Month, KeepYearly, "yearly", "years", "month"),
)


def _shape(period: _Period) -> Shape:
    """A period, which has nothing else where it is not enabled."""
    kept = (Child("RetentionPeriod", INTEGER), Child(period.element, enumeration(period.members)))
    members = (Child("Enabled", BOOLEAN), *(replace(each, required=False) for each in kept))
    return Shape(period.name, members=members, type=f"{period.name}RetentionType")


_SHAPES = {period: _shape(period) for period in _PERIODS}
_GFS_SHAPE = Shape(
    "GfsRetentionPolicy",
    (Child("Enabled", BOOLEAN),),
    tuple(Child(period.name, shape) for period, shape in _SHAPES.items()),
)
_SIMPLE_SHAPE = Shape(
    "SimpleRetentionPolicy",
    members=(
        Child("RetainCycles", INTEGER),
        Child("RetainDaysToKeep", INTEGER),
        Child("RetainLimitType", enumeration(RetainBy)),
    ),
)
MEMBERS = (
    Child("GfsRetentionPolicy", _GFS_SHAPE),
    Child("SimpleRetentionPolicy", _SIMPLE_SHAPE, required=False),
)


def shown(job: Row) -> dict[str, Resource | None]:
    """Both policies by their names, the simple one without a value where everything is kept."""
    kept = jobs.retention_of(job)
    gfs = kept.gfs if kept else None
    periods = {period.name: _shown_period(period, gfs) for period in _PERIODS}
    return {
        "GfsRetentionPolicy": _GFS_SHAPE.made(Enabled=gfs is not None, **periods),
        "SimpleRetentionPolicy": None
        if kept is None
        else _SIMPLE_SHAPE.made(
            RetainCycles=kept.points, RetainDaysToKeep=kept.days, RetainLimitType=kept.by
        ),
    }


def _shown_period(period: _Period, gfs: Gfs | None) -> Resource:
    kept, shape = getattr(gfs, period.field, None), _SHAPES[period]
    if kept is None:
        return shape.made(Enabled=False)
    values = {"RetentionPeriod": getattr(kept, period.number), period.element: getattr(kept, period.selected)}
    return shape.made(Enabled=True, **values)


def _block(period: _Period) -> Field:
    fields = (
        Field("Enabled", boolean),
        Field("RetentionPeriod", integer),
        Field(period.element, enumeration(period.members)),
    )
    return Field(period.name, Spec(period.name, fields))


_GFS = Spec("GfsRetentionPolicy", tuple(map(_block, _PERIODS)), attributes=(Field("Enabled", boolean),))
_SIMPLE = Spec(
    "SimpleRetentionPolicy",
    (
        Field("RetainCycles", integer),
        Field("RetainDaysToKeep", integer),
        Field("RetainLimitType", enumeration(RetainBy)),
    ),
)
BODY = (Field("GfsRetentionPolicy", _GFS), Field("SimpleRetentionPolicy", _SIMPLE))


def read(asked: Values, present: Retention | None) -> Retention | None:
    """The policy that what was read by ``BODY`` makes of the present one; None if it stays."""
    if not {field.name for field in BODY} & asked.keys():
        return None
    simple: Values = asked.get("SimpleRetentionPolicy", {})
    gfs = _gfs(asked.get("GfsRetentionPolicy", {}), present.gfs if present else None)
    if not simple and present is None:
        if gfs is not None:
            raise InvalidInput(
                "GfsRetentionPolicy is enabled for a job that keeps all its restore points",
                hint="Say in SimpleRetentionPolicy how many of the newest are kept.",
            )
        return None
    usual = present or Retention(RetainBy.CYCLES, _POINTS, _DAYS)
    return Retention(
        simple.get("RetainLimitType", usual.by),
        simple.get("RetainCycles", usual.points),
        simple.get("RetainDaysToKeep", usual.days),
        gfs,
    )


def _gfs(asked: Values, present: Gfs | None) -> Gfs | None:
    """What is left out is as it was."""
    if not asked.get("Enabled", True):
        return None
    kept = {period.field: _period(period, asked, getattr(present, period.field, None)) for period in _PERIODS}
    return Gfs(**kept) if any(kept.values()) or asked.get("Enabled") else None


def _period(period: _Period, asked: Values, present: Any) -> Any:
    if period.name not in asked:
        return present
    block: Values = asked[period.name]
    if not block.get("Enabled", True):
        return None
    number = block.get("RetentionPeriod", getattr(present, period.number, None))
    if number is None:
        raise InvalidInput(f"RetentionPeriod is missing in {period.name}")
    selected = block.get(period.element, getattr(present, period.selected, None))
    return period.kind(number) if selected is None else period.kind(number, selected)
