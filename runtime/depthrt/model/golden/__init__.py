"""The proof that travels: pictures in a model file, and the depth that was proven of them."""
