"""An autoregressive image network of one masked convolution: the smallest architecture that can be served."""
