"""Loaders of programmes, referrals, what they brought, and of fraud."""

from api.batches import by_key, lists_of, rows_of
from api.loading import DataLoader, LoaderSet, made_once
from core.db import Database
from referrals.attribution import Referral
from referrals.channels import MOST_OWNERS, Owner, Sharing, sharing_of
from referrals.codes import ReferralCode
from referrals.fraud_cases import FraudCase, FraudCaseMember, members_of_cases, rewards_of_cases
from referrals.programs import ReferralProgram
from referrals.rewards import ReferralReward, rewards_of_referrals
from referrals.settlement import ReferralStep, steps_of


class ReferralLoaders(LoaderSet):
    """The loaders of one operation, each made at its first use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @made_once
    def programs(self) -> DataLoader[str, ReferralProgram | None]:
        return by_key(rows_of(self._database, ReferralProgram))

    @made_once
    def referrals(self) -> DataLoader[str, Referral | None]:
        return by_key(rows_of(self._database, Referral))

    @made_once
    def fraud_cases(self) -> DataLoader[str, FraudCase | None]:
        return by_key(rows_of(self._database, FraudCase))

    @made_once
    def fraud_members(self) -> DataLoader[str, list[FraudCaseMember]]:
        """The members of fraud cases; who may see them has asked before."""
        return lists_of(self._database, members_of_cases, lambda row: row.case_id)

    @made_once
    def fraud_rewards(self) -> DataLoader[str, list[ReferralReward]]:
        """What fraud cases hold, likewise."""
        return lists_of(self._database, rewards_of_cases, lambda row: row.case_id)

    @made_once
    def steps(self) -> DataLoader[str, list[ReferralStep]]:
        return lists_of(self._database, steps_of, lambda row: row.referral_id)

    @made_once
    def codes(self) -> DataLoader[str, ReferralCode | None]:
        return by_key(rows_of(self._database, ReferralCode))

    @made_once
    def channels(self) -> DataLoader[Owner, list[Sharing]]:
        """What came of sharing, by programme and owner."""

        async def load(owners: list[Owner]) -> list[list[Sharing]]:
            async with self._database.read() as session:
                found = await sharing_of(session, owners)
            return [found[owner] for owner in owners]

        return DataLoader(load_fn=load, max_batch_size=MOST_OWNERS)

    @made_once
    def rewards(self) -> DataLoader[str, list[ReferralReward]]:
        return lists_of(self._database, rewards_of_referrals, lambda row: row.referral_id)
