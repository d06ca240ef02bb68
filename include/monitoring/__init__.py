"""What is measured after release, and what is decided from it."""
