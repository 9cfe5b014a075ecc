"""A boot lab: real firmware in QEMU, real loaders and real neighbours on a network of its own.

Everything lives in network namespaces that the lab makes and removes, so nothing reaches the
networks of the machine it runs on. It needs root. The end-to-end tests and the demo use it.
"""
