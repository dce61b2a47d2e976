"""The provisioner: an inventory is read, compared with a Proxmox VE cluster and made real on it.

The way of the data: ``inventory`` (Ansible's own loader) → ``variables`` (typed, validated) → ``desired`` (the
cluster as it shall be) → ``state`` (as it is) → ``plan`` (pure: the steps between the two) → ``apply`` (carries them
out and reads the outcome back).
"""
