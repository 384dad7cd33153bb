"""The resources of the interface, one declaration a module. A new module is a new resource; nothing else changes."""
