"""What several tests share: models, files, servers and the command line."""
