"""A web page that shows a run in progress."""
