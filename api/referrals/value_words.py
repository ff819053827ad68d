"""What each value of the enumerations of referrals means, as the schema says it."""

WORDS: dict[str, dict[str, str]] = {
    "FraudCaseKind": {
        "PAIR": "It began with one referral.",
        "RING": "It began with a group whose members refer each other.",
    },
    "FraudCaseStatus": {
        "OPEN": "A reviewer has to decide.",
        "CLEARED": "Nothing was wrong, and rewards that were held were let go.",
        "CONFIRMED": "It was fraud, and rewards were refused.",
    },
    "FraudSignalName": {
        "SHARED_DEVICE": "Referrer and referee use the same device.",
        "SHARED_CARD": "Referrer and referee use the same card.",
        "SHARED_ADDRESS": "Referrer and referee live at the same address.",
        "SIMILAR_EMAIL": "The e-mail addresses of both differ by very little.",
        "REFERRER_VELOCITY": "The referrer has brought very many people in a short time.",
        "DEVICE_VELOCITY": "Very many referees came by the same device in a short time.",
        "CARD_VELOCITY": "Very many referees came with the same card in a short time.",
        "ADDRESS_VELOCITY": "Very many referees came from the same address in a short time.",
    },
    "ReferralCodeStatus": {
        "ACTIVE": "It is the one to share.",
        "RETIRED": "A new one followed it, and it still counts in links and claims.",
        "REVOKED": "It is refused in claims with CODE_REVOKED.",
    },
    "ReferralPeriod": {
        "EVER": "The whole time of the programme.",
        "MONTH": "One month of UTC, by when referrals were qualified.",
    },
    "ReferralProgramStatus": {
        "DRAFT": "It takes no claims yet.",
        "ACTIVE": "It takes claims and pays rewards.",
        "PAUSED": "It takes no claims for now, and pays what it promised.",
        "ENDED": "It never starts again.",
    },
    "ReferralRewardStatus": {
        "PENDING": "Somebody has to look at it before it is paid.",
        "APPROVED": "It is owed and will be in the ledger within seconds.",
        "ISSUED": "Its points are in the ledger.",
        "REDEEMED": "All its points were spent.",
        "EXPIRED": "Its points were not spent in time.",
        "CANCELLED": "It was refused and never paid.",
        "CLAWED_BACK": "It was paid and taken back.",
    },
    "ReferralSide": {
        "REFERRER": "Who has brought somebody.",
        "REFEREE": "Who was brought.",
        "SECOND_LEVEL": "Who has brought the referrer.",
    },
    "ReferralSilence": {
        "PROGRAM_NOT_ACTIVE": "The programme takes no claims now.",
        "NOT_SIGNED_UP": "Nobody without a profile can refer.",
        "OPEN_COMPLAINT": "Who is complaining is not asked for a favour.",
        "BAD_SURVEY": "The latest answer to a survey was a bad one.",
    },
    "ReferralStageKind": {
        "CLICKED": "Links were opened by people.",
        "CLAIMED": "Referees said who brought them.",
        "STEP": "Referees reached one step of the programme.",
        "QUALIFIED": "Referees reached every step.",
        "REWARDED": "A reward was paid for the referral.",
    },
    "ReferralStatus": {
        "OPEN": "Some steps are still to be reached.",
        "QUALIFIED": "Every step was reached.",
        "REJECTED": "It turned out that it should not have been.",
    },
    "ReviewDecision": {
        "APPROVE": "The reward is paid.",
        "DENY": "The reward is refused; budget and caps are free again.",
    },
}
