"""The alert, its explanation and where it is sent."""
