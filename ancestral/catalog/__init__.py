"""What is served: descriptions of models, the sampler protocol, seeds."""
