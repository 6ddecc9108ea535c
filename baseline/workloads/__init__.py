"""From control groups to the workloads that people deployed."""
