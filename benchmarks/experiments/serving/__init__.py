"""`depthrt serve` under load: throughput, other servers, overload, restarts, mutated requests."""
