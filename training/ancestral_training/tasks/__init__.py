"""Training tasks: data, loss and evaluation of each modality."""
