"""Statistical anomaly-detection baselines for containers and services on Linux."""

__version__ = "0.1.0"
