"""The only room that knows eBPF: loading, pinned tables, ring buffer, windows from the kernel."""
