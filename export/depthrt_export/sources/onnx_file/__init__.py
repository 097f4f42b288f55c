"""An ONNX file of others as the source: read, understood, and run for comparison.

- ``find``, ``reading``: from a source to a file that onnxruntime runs, or a sentence on why not;
- ``image_input``, ``depth_output``: how it takes a picture, and which output is the depth;
- ``forms``: both, by running it; ``reference``: the file on pixels prepared outside its graph;
- ``first_nodes``: what the graph does to pixels before its first layer;
- ``config``: what lies beside the file as the Hugging Face hub holds it;
- ``float32``, ``quantised``: what numbers it computes in.
"""
