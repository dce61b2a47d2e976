"""What stands in the journal: one line an entry with its priority, and nothing that strangers can fill it with."""

import subprocess
import sys

PROGRAM = """
import logging
from centralino.cti.logs import set_up
set_up()
logging.getLogger("centralino.cti.x").info("joined: user=%s", "a\\r\\nb")
logging.getLogger("picows.server.7").error("WS parser error: (1002, 'invalid opcode=0x6'), initiate disconnect")
logging.getLogger("asyncio").error("SSL handshake failed\\nx", exc_info=(None, OSError, OSError.__traceback__))
logging.getLogger("picows.server.7").error("unhandled exception of ours")
logging.getLogger("picows.server.7").warning("GET /live?token=eyJ")
"""


def test_the_journals_lines() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stderr
    assert said.splitlines() == ["<6>joined: user=a\\r\\nb", "<3>unhandled exception of ours"]
