"""One row: its noise, its n-grams, the choice of its next token, and its response so far."""
