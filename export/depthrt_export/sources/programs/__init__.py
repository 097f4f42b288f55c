"""Programs that torch writes (.pt2, TorchScript), loaded with nothing run that they bring."""
