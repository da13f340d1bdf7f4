"""Benchmarks of imgsvc beside other image servers: `python -m benchmarks --help`."""
