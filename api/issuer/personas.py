"""Who can sign in at the development issuer: people of the demonstration bank, and the bank's own system."""

from dataclasses import dataclass

from core.principal import Role, Scope


@dataclass(frozen=True, slots=True)
class Persona:
    """A person of the demonstration bank; the key is also the subject of the person's tokens."""

    key: str
    name_zh: str
    name_en: str
    description_zh: str
    description_en: str
    roles: frozenset[str]

    @property
    def subject(self) -> str:
        return self.key


PERSONAS: tuple[Persona, ...] = (
    Persona(
        key="lin-yue",
        name_zh="林悦",
        name_en="Lin Yue",
        description_zh="老客户，常邀请朋友，有迎新积分",
        description_en="Customer who refers her friends; has welcome points",
        roles=frozenset({Role.CUSTOMER.value}),
    ),
    Persona(
        key="wu-xin",
        name_zh="吴昕",
        name_en="Wu Xin",
        description_zh="新客户，还没有资料",
        description_en="New customer, not signed up yet",
        roles=frozenset({Role.CUSTOMER.value}),
    ),
    Persona(
        key="chen-hao",
        name_zh="陈浩",
        name_en="Chen Hao",
        description_zh="社群管理员，管理一个社群",
        description_en="Customer who manages a community",
        roles=frozenset({Role.CUSTOMER.value}),
    ),
    Persona(
        key="zhou-min",
        name_zh="周敏",
        name_en="Zhou Min",
        description_zh="客户经理，照看自己的客户",
        description_en="Relationship manager who looks after customers of her own",
        roles=frozenset({Role.RELATIONSHIP_MANAGER.value}),
    ),
    Persona(
        key="sun-lan",
        name_zh="孙岚",
        name_en="Sun Lan",
        description_zh="投诉专员，处理投诉",
        description_en="Complaints officer",
        roles=frozenset({Role.COMPLAINTS_OFFICER.value}),
    ),
    Persona(
        key="he-jing",
        name_zh="何静",
        name_en="He Jing",
        description_zh="系统管理员，管理推荐计划、规则与奖品",
        description_en="Administrator of programmes, rules and rewards",
        roles=frozenset({Role.ADMINISTRATOR.value}),
    ),
)

PERSONA_BY_KEY = {persona.key: persona for persona in PERSONAS}

# The bank's own system. The secret is published on purpose: the issuer that knows it never runs in production.
SERVICE_CLIENT_ID = "core-banking"
SERVICE_CLIENT_SECRET = "core-banking-dev-secret"  # noqa: S105
SERVICE_SCOPES = (Scope.FACTS_WRITE.value, Scope.IMPORTS_WRITE.value)
SERVICE_ROLES = frozenset({Role.SERVICE.value})

WEB_CLIENT_ID = "kinship-web"
WEB_SCOPES = ("openid", "profile", "offline_access")
