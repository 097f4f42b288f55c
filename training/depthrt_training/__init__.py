"""The recipe of depthrt-s: data, networks, losses, training and figures."""
