"""ONNX Runtime: sessions on exported graphs, and runners that call them."""
