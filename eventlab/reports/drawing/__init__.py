"""What a report becomes: a page, Markdown, a PDF, a mail; the page of a failure, and the index."""
