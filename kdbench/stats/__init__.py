"""Estimates with their intervals (`estimates`, `mean`, `variances`) and paired tests (`paired`)."""
