"""A process that does the work of scenarios in forks of itself, so that each is there at once; run as a program.

It reads an order a line (JSON) and answers with how the fork ended. With ``steps.c`` preloaded, a fork dies at its n-th step.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scenarios import ENDLESS, SCENARIOS


def main() -> None:
    """Answer orders until there are no more."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            _work(order)
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)  # noqa: T201 - the answer


def _work(order: dict[str, Any]) -> None:
    """Do the work of an order, and end."""
    path = Path(order["path"])
    told = os.open(order["told"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def tell(group: str) -> None:
        os.write(told, f"{group}\n".encode())
        os.fsync(told)

    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if order.get("trace"):
        os.environ["STEPS_TRACE"] = "1"
    library = ctypes.CDLL(None)
    library.steps_arm(os.fsencode(path), ctypes.c_long(order.get("at", -1)), int(order.get("torn", False)))
    code = 1
    try:
        {**SCENARIOS, **ENDLESS}[order["scenario"]].work(path, tell)
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it is, the log of the fork has it
        sys.excepthook(*sys.exc_info())
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
