"""The web server: its socket, connections, signals, and how it starts."""
