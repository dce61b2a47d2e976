"""OCI hooks, run by podman."""
