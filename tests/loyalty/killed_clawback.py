"""A process that dies while it claws back: `python tests/loyalty/killed_clawback.py POINT CUSTOMER`.

It takes back the 30 points of the customer's reward and kills itself, `before-commit` or `after-commit`.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.db import Database
from core.settings import load_settings
from tests.dying import die
from tests.loyalty.accounts import demand, take_back

POINT, CUSTOMER = sys.argv[1:3]

die(POINT, at="INSERT INTO lot_debit")

asyncio.run(take_back(Database(load_settings().database_url or ""), demand(CUSTOMER, f"{CUSTOMER}:r", 30)))
