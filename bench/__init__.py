"""Benchmarks: the project beside a floor measured in the same run. Only the ratios mean anything."""
