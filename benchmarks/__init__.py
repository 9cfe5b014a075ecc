"""Measures pxetwist and other servers in turn, in one run; ``python -m benchmarks --help``."""
