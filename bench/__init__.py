"""Measurements; each prints ratios that one run on one machine can defend."""
