"""The decoding loop of backend=hf: prefill, batches, cache, and the memory that they need."""
