"""The whole ledger of points as a page of plain Python, which knows nothing of the implementation.

Days are whole numbers; everything happens at noon. The ids of lots only decide ties, so they are given from outside.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class Lot:
    """Points of one owner; `open` is what a clawback of this lot still misses, by policy."""

    id: str
    owner: int
    points: int
    left: int
    earned: int
    due: int
    expires: int
    released: bool
    open: dict[str, int] = field(default_factory=lambda: {"DEBT": 0, "WRITE_OFF": 0})


@dataclass
class Model:
    today: int = 0
    lots: list[Lot] = field(default_factory=list[Lot])
    debtors: list[Lot] = field(default_factory=list[Lot])
    spent: list[tuple[int, list[tuple[Lot, int]]]] = field(default_factory=list[tuple[int, list[tuple[Lot, int]]]])
    # For each owner and account, the points and the balance after them; and what each kind brought and took.
    runs: dict[tuple[int, str], list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    came: Counter[str] = field(default_factory=Counter[str])
    went: Counter[str] = field(default_factory=Counter[str])

    def move(self, kind: str, owner: int, account: str, points: int) -> None:
        if points:
            run = self.runs[owner, account]
            run.append((points, (run[-1][1] if run else 0) + points))
        if account != "debt":
            self.came[kind] += max(points, 0)
            self.went[kind] += max(-points, 0)

    def take(self, lot: Lot, points: int) -> int:
        taken = min(lot.left, points)
        lot.left -= taken
        return taken

    def burnable(self, owner: int) -> list[Lot]:
        good = [lot for lot in self.lots if lot.owner == owner and lot.released and lot.expires > self.today]
        return sorted(good, key=lambda lot: (lot.expires, lot.earned, lot.id))

    def can_spend(self, owner: int, points: int) -> bool:
        return points <= sum(lot.left for lot in self.burnable(owner))

    def burn(self, owner: int, points: int) -> list[tuple[Lot, int]]:
        taken: list[tuple[Lot, int]] = []
        for lot in self.burnable(owner):
            part = self.take(lot, points)
            points -= part
            if part:
                taken.append((lot, part))
        return taken

    def repay(self, lot: Lot, points: int, missing: Lot, policy: str) -> int:
        paid = min(points, missing.open[policy])
        missing.open[policy] -= paid
        lot.left -= paid
        self.move("REPAYMENT", lot.owner, "available", -paid)
        if policy == "DEBT":
            self.move("REPAYMENT", lot.owner, "debt", -paid)
        return points - paid

    def arrive(self, lot: Lot, points: int, own: Lot | None = None) -> int:
        """What has become available repays; returns what is left of it."""
        if own:
            for policy in ("WRITE_OFF", "DEBT"):
                points = self.repay(lot, points, own, policy)
        if lot.expires > self.today:
            for missing in self.debtors:
                if missing.owner == lot.owner:
                    points = self.repay(lot, points, missing, "DEBT")
        return points

    def fill(self, kind: str, lot: Lot) -> None:
        self.lots.append(lot)
        self.move(kind, lot.owner, "available" if lot.released else "pending", lot.points)

    def earn(self, id: str, owner: int, points: int, wait: int, life: int) -> None:
        lot = Lot(id, owner, points, points, self.today, self.today + wait, self.today + life, wait == 0)
        self.fill("EARN", lot)
        if lot.released:
            self.arrive(lot, points)

    def due(self, day: int) -> list[Lot]:
        found = [lot for lot in self.lots if not lot.released and lot.due <= day]
        return sorted(found, key=lambda lot: (lot.owner, lot.due, lot.id))

    def release(self, lot: Lot) -> None:
        lot.released = True
        self.move("RELEASE", lot.owner, "pending", -lot.left)
        self.move("RELEASE", lot.owner, "available", lot.left)

    def spend(self, owner: int, points: int) -> None:
        self.move("REDEEM", owner, "available", -points)
        self.spent.append((owner, self.burn(owner, points)))

    def refund(self, number: int, grace: int, name: dict[str, str]) -> int:
        """Give back what was spent; with a grace, what has expired lives on under the name of its new lot."""
        owner, back = self.spent[number]
        self.spent[number] = owner, []
        self.move("REFUND", owner, "available", sum(part for _, part in back))
        heirs: list[tuple[Lot, int, Lot]] = []
        for lot, part in back:
            heir = lot
            if grace and lot.expires <= self.today:
                heir = Lot(name[lot.id], owner, part, 0, lot.earned, self.today, self.today + grace, True)
                self.lots.append(heir)
            heir.left += part
            heirs.append((heir, part, lot))
        for heir, part, lot in heirs:
            left = self.arrive(heir, part, lot)
            if heir.expires <= self.today:
                heir.left -= left
                self.move("EXPIRE", owner, "available", -left)
        return sum(part for _, part in back)

    def transfer(self, sender: int, receiver: int, points: int, name: dict[str, str]) -> None:
        self.move("TRANSFER", sender, "available", -points)
        self.move("TRANSFER", receiver, "available", points)
        heirs = [
            Lot(name[lot.id], receiver, part, part, lot.earned, self.today, lot.expires, True)
            for lot, part in self.burn(sender, points)
        ]
        self.lots += heirs
        for heir in heirs:
            self.arrive(heir, heir.left)

    def adjust(self, id: str, owner: int, points: int, life: int) -> None:
        if points < 0:
            self.move("ADJUST", owner, "available", points)
            self.burn(owner, -points)
            return
        lot = Lot(id, owner, points, points, self.today, self.today, self.today + life, True)
        self.fill("ADJUST", lot)
        self.arrive(lot, points)

    def claw_back(self, own: Lot, policy: str) -> None:
        due, pending = own.points, 0
        for lot in (own, *(lot for lot in self.burnable(own.owner) if lot is not own)):
            part = self.take(lot, due)
            due -= part
            pending += 0 if lot.released else part
        self.move("CLAWBACK", own.owner, "available", pending + due - own.points)
        self.move("CLAWBACK", own.owner, "pending", -pending)
        own.open[policy] += due
        if policy == "DEBT" and due:
            self.move("CLAWBACK", own.owner, "debt", due)
            self.debtors.append(own)

    def close(self, day: int) -> None:
        due = self.due(day)
        for lot in due:
            self.release(lot)
        for lot in due:
            self.arrive(lot, lot.left)
        over = [lot for lot in self.lots if lot.left and lot.expires <= day]
        for lot in sorted(over, key=lambda lot: (lot.owner, lot.expires, lot.earned, lot.id)):
            self.move("EXPIRE", lot.owner, "available" if lot.released else "pending", -lot.left)
            lot.left = 0
