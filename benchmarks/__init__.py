"""Benchmarks of imgsvc and its peers: `python -m benchmarks --help`."""
