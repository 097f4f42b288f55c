"""ONNX files of many forms, and what `depthrt export` makes of each."""
