"""Real services in cgroups of their own, under load and then intruded."""
