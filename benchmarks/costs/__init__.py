"""What baseline costs: measured side by side with the other ways to look at system calls."""
