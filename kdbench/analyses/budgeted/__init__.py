"""What the analysis `budget` is made of: a table with its results, its timings, costs and picks."""
