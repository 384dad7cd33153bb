"""Pipelines of cmdlets over a Windows machine: parameters are checked, objects go from one to the next.

Objects are dictionaries of their members. Enumerations are numbers, as ConvertTo-Json writes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from psrpcore import Command

from tests.support.labs.hyperv.machines import Refused, Windows

Item = dict[str, Any]
Cmdlet = Callable[[Windows, dict[str, Any], list[Any] | None], Iterator[Any]]
_CMDLETS: dict[str, tuple[frozenset[str], Cmdlet]] = {}
_SCRIPTS: dict[str, Cmdlet] = {}
_COMMON = {"ErrorAction", "Confirm", "WhatIf", "Verbose"}


def cmdlet(name: str, parameters: str = "") -> Callable[[Cmdlet], Cmdlet]:
    """A cmdlet with the parameters that its documentation has, of those that matter here."""

    def keep(function: Cmdlet) -> Cmdlet:
        _CMDLETS[name] = (frozenset(parameters.split()) | _COMMON, function)
        return function

    return keep


def script(text: str) -> Callable[[Cmdlet], Cmdlet]:
    """What a script does, told by its text: nothing here runs PowerShell."""

    def keep(function: Cmdlet) -> Cmdlet:
        _SCRIPTS[text] = function
        return function

    return keep


class PowerShell:
    """fail: by a cmdlet's name, the message that it ends with. ran: what was run, oldest first.

    held: called with the names of a pipeline's cmdlets before it is run.
    """

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self.fail: dict[str, str] = {}
        self.ran: list[str] = []
        self.held: Callable[[list[str]], None] = lambda names: None

    def __call__(self, commands: Sequence[Command]) -> tuple[list[str], list[str], bool]:
        items: list[Any] | None = None
        errors: list[str] = []
        self.held([command.command_text for command in commands])
        with self.windows.lock:
            for command in commands:
                parameters = {
                    each[0].lstrip("-"): each[1] for each in command.parameters if each[0] is not None
                }
                try:
                    function = self._found(command, parameters)
                    items = list(function(self.windows, parameters, items))
                except Refused as error:
                    action = parameters.get("ErrorAction", "Stop" if command.is_script else "Continue")
                    if action == "SilentlyContinue":
                        items = []
                        continue
                    errors.append(str(error))
                    if action == "Stop":
                        return [], errors, True
                    items = []
        return [str(item) for item in items or ()], errors, False

    def _found(self, command: Command, parameters: dict[str, Any]) -> Cmdlet:
        if command.is_script:
            if command.command_text not in _SCRIPTS:
                raise AssertionError(f"no such script: {command.command_text}")
            return _SCRIPTS[command.command_text]
        name = command.command_text
        self.ran.append(name)
        if name in self.fail:
            parameters["ErrorAction"] = "Stop"
            raise Refused(self.fail[name])
        if name not in _CMDLETS:
            raise AssertionError(f"the term '{name}' is not recognized as the name of a cmdlet")
        known, function = _CMDLETS[name]
        for parameter in parameters:
            assert parameter in known, f"{name}: no parameter matches the name '{parameter}'"
        return function


@cmdlet("Select-Object", "Property First")
def _select(_: Windows, parameters: dict[str, Any], items: list[Any] | None) -> Iterator[Item]:
    for item in items or ():
        yield {name: item.get(name) for name in parameters["Property"]}


@cmdlet("ConvertTo-Json", "Compress Depth")
def _to_json(_: Windows, __: dict[str, Any], items: list[Any] | None) -> Iterator[str]:
    """One object is itself, several are an array, none is nothing."""
    if items:
        yield json.dumps(items[0] if len(items) == 1 else items)
