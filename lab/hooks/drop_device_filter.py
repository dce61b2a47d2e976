"""OCI precreate hook: take the device filter out of a container's configuration.

crun installs the filter as an eBPF program and raises RLIMIT_MEMLOCK for it, which fails without CAP_SYS_RESOURCE.
Containers here have no CAP_MKNOD, so they cannot make device nodes that the filter would have to refuse.

Reads the runtime configuration (OCI runtime-spec config.json) on standard input and writes it on standard output.
"""

import json
import sys

configuration = json.load(sys.stdin)
configuration["linux"].get("resources", {}).pop("devices", None)
json.dump(configuration, sys.stdout)
