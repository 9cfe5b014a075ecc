"""A small certificate authority for sites that have none of their own."""
