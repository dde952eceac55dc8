"""One row: its noise, the n-gram rule, the choice of the next token, the response so far."""
