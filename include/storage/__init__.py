"""Storage: files and reports in the lake, on disk or S3."""
