"""Two models over plain text, with the figures of llama.cpp's `llama-perplexity --kl-divergence`.

Modules: `chunks` (the text as tokens), `scoring` (both models over a chunk), `stored` (a file of
values to resume from), `figures` (the numbers) and `compare` (all of it).
"""
