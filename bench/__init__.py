"""Measurements: ratios that one run on one machine can defend, never seconds."""
