"""Running a report: a notebook in a kernel or a function in this process, on a log that is pinned to a moment."""
