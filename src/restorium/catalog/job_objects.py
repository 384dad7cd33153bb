"""What jobs include, of all jobs together."""

from __future__ import annotations

from restorium.catalog import servers
from restorium.catalog.listing import Listing
from restorium.catalog.tables import job_objects, jobs
from restorium.catalog.text import guid_text

listing = Listing(
    {
        "id": job_objects.c.id,
        "uid": guid_text(job_objects.c.id),
        "name": job_objects.c.vm_name,
        "host_id": job_objects.c.host_id,
        "vm_ref": job_objects.c.vm_ref,
        "vm_name": job_objects.c.vm_name,
        "job_id": jobs.c.id,
        "job_name": jobs.c.name,
        "platform": jobs.c.platform,
    }
    | servers.PARENT,
    servers.joined(job_objects.join(jobs, jobs.c.id == job_objects.c.job_id)),
)
