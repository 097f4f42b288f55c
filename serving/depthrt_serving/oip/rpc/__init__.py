"""The Open Inference Protocol over gRPC; only here are grpcio and protobuf imported."""
