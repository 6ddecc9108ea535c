"""What the mark ``kernel`` means, in every folder."""

import pytest
from hypothesis import HealthCheck, settings
from requirements import require_kernel


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: they may need the kernel, too."""
    if item.get_closest_marker("kernel"):
        require_kernel()


# How long an example takes says more about the machine than about the code.
settings.register_profile("baseline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("baseline")
