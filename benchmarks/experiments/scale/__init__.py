"""What metres from a few measured distances are worth."""
