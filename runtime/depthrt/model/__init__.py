"""A model file in an onnxruntime session, and frames as it wants them."""
