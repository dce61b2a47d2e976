"""``python -m proxmox``."""

import sys

from proxmox.cli import main

sys.exit(main())
