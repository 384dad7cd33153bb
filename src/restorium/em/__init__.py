"""The Enterprise Manager face: the REST API of Veeam Backup Enterprise Manager, version 1.7, under ``/api``.

``resources`` holds one declaration a resource. Routes, XML, JSON, the query service and the links are derived from
it; nothing else knows a resource by name. What an answer says is a tree of ``documents``, written by ``as_xml`` or
``as_json``. Source of all names, orders and statuses: the public reference of that API, and what its clients need.

A request is authenticated, routed, checked against the caller's roles and answered from one snapshot of the
catalog, within the caller's restore scope. Actions call one flow and answer a task. Nothing is kept between
requests, so a crash leaves nothing half done here.
"""
