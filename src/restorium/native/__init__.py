"""The native API: JSON under ``/v1``, what the commands speak.

Each module of a kind of thing holds its operations: a method, a path, who may, what comes in, one function.
``operation`` runs them all alike: it authenticates, checks the role, reads the body, calls the function in a
worker thread and turns errors into their status. Functions read the catalog within the caller's restore scope
and leave all work to flows.

Nothing is kept between requests, so a crash leaves nothing half done here.
"""
