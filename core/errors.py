"""One base for everything that Kinship refuses, with a stable code and words in both languages."""

from collections.abc import Iterator
from typing import ClassVar


class KinshipError(Exception):
    """Base of all errors that we raise on purpose; `code` is part of the public contract."""

    code: ClassVar[str]
    en: ClassVar[str]
    zh: ClassVar[str]

    def __init__(self, *, path: tuple[str, ...] = (), detail: str | None = None) -> None:
        self.path = path
        self.detail = detail
        super().__init__(f"{self.code}: {detail or self.en}")

    def words(self, language: str) -> str:
        """What a person reads; a detail (in English, for developers) follows in both languages."""
        text = self.zh if language == "zh" else self.en
        return f"{text} ({self.detail})" if self.detail else text


class Refusal(KinshipError):
    """A refusal that a person can mend: the API answers it as a value, never as an exception."""


class NotFound(Refusal):
    """The thing does not exist, or not for this principal: both look alike."""

    code = "NOT_FOUND"
    en = "There is no such thing, or you may not see it."
    zh = "不存在，或您无权查看。"


class Conflict(Refusal):
    code = "CONFLICT"
    en = "This changed in the meantime. Please try again."
    zh = "数据刚刚发生变化，请重试。"


class Unauthenticated(KinshipError):
    code = "UNAUTHENTICATED"
    en = "Please sign in."
    zh = "请先登录。"


class Forbidden(KinshipError):
    code = "FORBIDDEN"
    en = "You may not do this."
    zh = "您没有权限执行此操作。"


class BadUserInput(KinshipError):
    code = "BAD_USER_INPUT"
    en = "Something in the request is not valid."
    zh = "请求内容无效。"


class Unavailable(KinshipError):
    code = "UNAVAILABLE"
    en = "The service is busy. Please try again in a moment."
    zh = "服务繁忙，请稍后再试。"


def camel(name: str) -> str:
    """The name of a field as clients write it, for the path of a refusal."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def every_error(base: type[KinshipError] = KinshipError) -> Iterator[type[KinshipError]]:
    """All concrete error classes loaded so far, for the reference page and its test."""
    for cls in base.__subclasses__():
        if "code" in cls.__dict__:
            yield cls
        yield from every_error(cls)
