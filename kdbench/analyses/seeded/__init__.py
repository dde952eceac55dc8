"""Results of recipes by training seed: scores as arrays, and curves of means."""
