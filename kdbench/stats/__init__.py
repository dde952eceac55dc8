"""Estimates with their intervals, and paired tests."""
