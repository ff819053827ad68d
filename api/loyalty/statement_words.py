"""The words of statements, Chinese and English."""

from loyalty.ledger import AccountKind, PostingKind

COLUMNS = (
    ("入账时间", "Booked at"),
    ("账户", "Account"),
    ("类型", "Type"),
    ("说明", "Description"),
    ("积分", "Points"),
    ("余额", "Balance"),
)
WORDS = {
    "title": ("积分对账单", "Points statement"),
    "beginning": ("开户", "Beginning"),
    "opening": ("期初余额", "Opening balance"),
    "closing": ("期末余额", "Closing balance"),
}
ACCOUNTS = {
    AccountKind.AVAILABLE: ("可用积分", "Available"),
    AccountKind.PENDING: ("待生效积分", "Pending"),
    AccountKind.DEBT: ("欠缴积分", "Owed"),
}
KINDS: dict[str, tuple[str, str]] = {
    PostingKind.EARN: ("获得", "Earned"),
    PostingKind.RELEASE: ("生效", "Released"),
    PostingKind.REDEEM: ("兑换", "Redeemed"),
    PostingKind.REFUND: ("退回", "Refunded"),
    PostingKind.CLAWBACK: ("追回", "Taken back"),
    PostingKind.REPAYMENT: ("抵扣欠缴", "Repaid"),
    PostingKind.EXPIRE: ("过期", "Expired"),
    PostingKind.TRANSFER: ("转赠", "Transferred"),
    PostingKind.ADJUST: ("调整", "Adjusted"),
    PostingKind.WRITE_OFF: ("核销", "Written off"),
}
