"""Measurements against the budgets, on demand (`make bench`): figures are printed, not asserted."""
