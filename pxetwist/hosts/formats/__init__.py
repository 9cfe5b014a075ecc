"""The formats of host files: each turns text into rows, and reports mistakes by their line."""
