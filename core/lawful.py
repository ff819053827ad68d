"""What nobody may be rewarded for: placing money with the bank. Both reward rooms read their rules by these words.

The kinds of facts that tell of referral steps stand here too, as each room has its own bounds for them.
"""

from core.facts import KIND

# Taking money in exchange for placing deposits is forbidden, so no kind of fact about them may be rewarded.
DEPOSIT_WORDS = ("DEPOSIT", "BALANCE", "SAVING", "AUM")
# Nor may points follow an amount of money, whatever the kind of fact that tells it.
MONEY_WORDS = (*DEPOSIT_WORDS, "MONEY", "AMOUNT", "CURRENCY", "PRINCIPAL", "TURNOVER", "PRICE", "CASH", "YUAN", "RMB")

# What the referral room tells of the steps of those whom a customer brought, for earning rules alone.
STEP_FACTS = "REFERRAL_STEP_"
STEP_REACHED = f"{STEP_FACTS}REACHED"
STEP_UNDONE = f"{STEP_FACTS}UNDONE"


def is_kind(kind: str) -> bool:
    """Whether this can be a kind of fact by its form."""
    return KIND.fullmatch(kind) is not None


def is_about_deposits(kind: str) -> bool:
    """Whether a kind of fact is about money placed with the bank."""
    return any(word in kind.upper() for word in DEPOSIT_WORDS)


def tells_of_money(kind: str) -> bool:
    """Whether a kind of fact is about a sum, a price or a balance; a word across two parts of the name is none."""
    return any(word in kind.upper() for word in MONEY_WORDS)


def is_about_step(kind: str) -> bool:
    """Whether a kind of fact tells of a referral step of somebody else."""
    return kind.startswith(STEP_FACTS)


def is_about_money(field: str) -> bool:
    """Whether a field of a fact is a sum or a price by its name, in whatever case it is written."""
    name = field.upper().replace("_", "")
    return any(word in name for word in MONEY_WORDS)
