"""From a PyTorch network to an ONNX graph that takes raw pixels."""
