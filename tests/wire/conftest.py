"""Properties are searched without a deadline: machines that are shared are slow at times."""

from hypothesis import settings

settings.register_profile("wire", deadline=None)
settings.load_profile("wire")
