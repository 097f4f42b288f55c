"""An ONNX file of others as the source: read, understood, run for comparison, and wrapped.

- ``reading``: from a path to a file that onnxruntime runs, or a sentence on why not;
- ``image_input``, ``depth_output``: how it takes a picture, and which output is the depth;
- ``reference``: the file itself on pixels, prepared outside the graph;
- ``first_nodes``: what the graph does to pixels before its first layer;
- ``config``: what lies beside the file as the Hugging Face hub holds it;
- ``float32``: a float16 graph in float32;
- ``wrap``: the graph of the contract around the file's.
"""
