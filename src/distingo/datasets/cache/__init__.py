"""What is computed once from images, kept on disk by their content."""
