"""Reports for auditors, as HTML and CSV. What they say is handed in; this room knows no database."""
