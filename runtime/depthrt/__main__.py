"""`python -m depthrt` is `depthrt`."""

from depthrt.cli import main

main()
