"""Where depth goes: videos to look at, depth to compute with, pictures, points, a preview."""
