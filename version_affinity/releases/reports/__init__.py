"""Worker reports: each process writes what it serves and counts (``reporter``), and readers add all reports up."""
