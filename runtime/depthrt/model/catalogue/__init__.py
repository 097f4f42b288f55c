"""The models that have a name: those built in, and those that ``depthrt pull`` fetches."""
