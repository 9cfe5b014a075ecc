"""Diskless hosts: images of distributions, their versions, and how they are made.

An image is a folder of versions, each with ``root``, ``vmlinuz``, ``initrd.img`` and
``image.json``; the link ``current`` says which of them machines start.
"""
