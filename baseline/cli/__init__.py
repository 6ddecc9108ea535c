"""Commands: one small file each, and one place where errors become a message."""
