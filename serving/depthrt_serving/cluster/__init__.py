"""`depthrt serve --engine ray`: the same server, whose inferences run on a cluster.

The front is the server as it is: HTTP, decoding, batches. Each batch goes to a replica of the model
(:mod:`replica`), an actor of Ray Serve, which scales them. Which model a batch goes to, while one
takes over from another, says the rollout (:mod:`rollout`), an actor that all fronts ask.
"""
