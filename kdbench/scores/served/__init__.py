"""A teacher on a server: its likeliest tokens at each position come over HTTP."""
