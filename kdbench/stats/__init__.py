"""Estimates with their intervals (`estimates`, `bootstrap`) and paired tests (`paired`)."""
