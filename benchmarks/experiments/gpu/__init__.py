"""What an NVIDIA GPU brings."""
