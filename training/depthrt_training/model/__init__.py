"""The network of depthrt-s, its weights files and quantisation-aware training."""
