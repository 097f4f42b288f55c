"""Does the file see what the network sees?"""
