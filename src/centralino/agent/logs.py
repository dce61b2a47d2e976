"""How the agent's programs log: to the journal, or to a terminal."""

import logging
import os


def set_up() -> None:
    """Send one line a message to standard error."""
    # the journal has its own clock, and reads a level from <4> at the beginning of a line (sd-daemon(3))
    levels = (
        {logging.INFO: "<6>", logging.WARNING: "<4>", logging.ERROR: "<3>"} if "JOURNAL_STREAM" in os.environ else {}
    )
    for level, name in ((logging.INFO, ""), (logging.WARNING, "warning: "), (logging.ERROR, "error: ")):
        logging.addLevelName(level, levels.get(level, name))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
