"""Run folders and datasets as pages that a person enjoys: one self-contained HTML file each."""
