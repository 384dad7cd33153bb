"""Reports for auditors, as HTML and CSV. What they say is handed in; this room knows no database.

Invariants: whatever names and messages hold, a page has no markup and a spreadsheet no formula of theirs.
"""

from restorium.reports.drills import DrillReport, DrillRow, as_csv, as_html
from restorium.reports.table import csv_lines

__all__ = ["DrillReport", "DrillRow", "as_csv", "as_html", "csv_lines"]
