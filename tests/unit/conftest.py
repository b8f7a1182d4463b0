"""Fast tests: chance is fixed by default, and no clock decides. ``HYPOTHESIS_PROFILE=search`` looks further."""

import os

from hypothesis import settings

settings.register_profile("resit", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("search", deadline=None, max_examples=5000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "resit"))
