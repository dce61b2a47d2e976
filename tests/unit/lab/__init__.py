"""The lab's pure parts: schema, configuration, disks, permissions, state."""
