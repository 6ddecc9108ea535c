"""What the mark ``kernel`` means, in every folder, and how examples are looked for."""

import pytest
from hypothesis import settings
from requirements import require_kernel

# How long an example takes is the machine's affair.
settings.register_profile("baseline", deadline=None)
settings.load_profile("baseline")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: they may need the kernel, too."""
    if item.get_closest_marker("kernel"):
        require_kernel()
