"""The decoding loop of backend=hf: prefill, continuous batching, key-value cache, memory."""
