"""File systems inside a restore point, read without a kernel mount and without root."""
