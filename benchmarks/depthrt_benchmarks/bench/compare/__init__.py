"""Is one model or version slower than another?"""
