"""What `baseline` costs, a file for each part; `benchmarks/overhead.py` runs them."""
