"""The toy world: small instruction data, and tiny Llama models that train on a CPU in a minute."""
