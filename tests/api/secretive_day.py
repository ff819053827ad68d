"""A day of codes with all that can be logged: `python tests/api/secretive_day.py UNIQUE` logs to standard error.

It adds coupon codes, redeems them, shows and uses them, and makes all the errors that come to mind; what it got by
way of answers it prints, errors and all, as one JSON object.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.log import configure_logging
from tests.api.conftest import ISSUER, System, running
from tests.api.test_catalogue import ADD
from tests.api.test_redemptions import MINE, USE, VOUCHERS, administrator, partner
from tests.api.test_way_through import REDEEM, local_of, make_reward
from tests.loyalty.accounts import give

UNIQUE = sys.argv[1]
SABOTAGE = """
CREATE UNIQUE INDEX ux_sabotage ON redemption (length(voucher_code)) WHERE idempotency_key LIKE 'sabotage-%'
"""


async def day(system: System) -> dict[str, Any]:
    lin, admin, counter = await system.customer(f"lin-{UNIQUE}"), administrator(system), partner(system)
    await give(system.edge.database, local_of(f"lin-{UNIQUE}"), 2000)
    pool, voucher = await make_reward(system, kind="COUPON"), await make_reward(system)
    codes = [f"SECRET-{UNIQUE}-{number}" for number in range(5)]
    given = {"id": pool, "codes": [*codes, codes[0], f"SECRET {UNIQUE}"], "key": UNIQUE}
    told: list[Any] = [await admin.ask(ADD, **given), await admin.ask(ADD, **given)]
    told.append((await admin.post(ADD, {**given, "codes": codes[:1]})).json())
    told.append((await admin.post(ADD, {**given, "codes": codes * 500, "key": f"{UNIQUE}-2"})).json())
    told.append((await lin.post(ADD, given)).json())
    shown = [
        (await lin.ask(REDEEM, reward=reward, key=f"wish-{number}-{UNIQUE}"))["redeemReward"]["redemption"]
        for number, reward in enumerate((pool, pool, voucher, voucher))
    ]
    mine = [await lin.ask(MINE), await lin.ask(VOUCHERS, status=None)]
    for row in shown[1:]:
        told += [await counter.ask(USE, code=row["voucherCode"]) for _ in range(2)]
        told.append((await counter.post(USE, {"code": row["voucherCode"], "reward": voucher})).json())
        told.append((await lin.post(USE, {"code": row["voucherCode"]})).json())
    told.append(await counter.ask(USE, code=codes[4]))
    await system.work()
    # What nobody expected is logged with its statement: here the second code of the same length clashes.
    await run(system, SABOTAGE)
    try:
        asked = [{"reward": voucher, "key": f"sabotage-{number}"} for number in range(2)]
        sabotaged = [(await lin.post(REDEEM, one)).json() for one in asked]
    finally:
        await run(system, "DROP INDEX ux_sabotage")
    shown.append(sabotaged[0]["data"]["redeemReward"]["redemption"])
    told.append(sabotaged[1])
    return {"told": told, "shown": [row["voucherCode"] for row in shown], "mine": mine, "codes": codes}


async def run(system: System, statement: str) -> None:
    async with system.edge.database.write() as session:
        await (await session.connection()).exec_driver_sql(statement)


async def main() -> None:
    from core.settings import load_settings

    settings = load_settings().model_copy(update={"oidc_issuer": ISSUER, "operation_timeout_seconds": 30.0})
    async with running(settings) as system:
        print(json.dumps(await day(system)))


configure_logging(os.environ["LOG_LEVEL"])
asyncio.run(main())
