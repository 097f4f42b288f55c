"""An ONNX file as the source.

- ``from_onnx``: the way of a file of others; a depthrt file goes to ``from_depthrt``;
- ``describe``: what its options, its neighbours, its graph and the built-in model say of it;
- ``shape_and_precision``: in which shape and precision it is wrapped;
- ``wrap_and_prove``: the wrapped graph, as far raised and rewritten as its depth stays the same.
"""
