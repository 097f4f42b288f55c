"""What `depthrt doctor` finds on this machine."""
