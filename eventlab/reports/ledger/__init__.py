"""The runs log: which runs were planned, made, failed and issued, who makes one now, and what each has left in files."""
