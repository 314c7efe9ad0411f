"""Pictures from elsewhere, brought into a folder."""
