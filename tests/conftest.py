"""What the mark ``kernel`` means, in every folder."""

import pytest
from requirements import require_kernel


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: they may need the kernel, too."""
    if item.get_closest_marker("kernel"):
        require_kernel()
