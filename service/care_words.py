"""The words of greetings in both languages: warm, short, and about nothing that the bank sells.

Nothing is put in: no name, no number of years, no link. A test reads them for words of marketing.
"""

from service.care_calendar import Festival
from service.care_kinds import CareKind
from service.message_template import Words


def template_of(occasion: CareKind | Festival) -> str:
    """The name under which the words of an occasion stand."""
    return f"care.{occasion.lower()}"


OCCASIONS: dict[CareKind | Festival, Words] = {
    CareKind.BIRTHDAY: Words(
        ("生日快乐", "Happy birthday"),
        (
            "今天是您的生日，祝您健康平安，天天开心。",
            "Today is your birthday. We wish you health, peace and a happy year to come.",
        ),
    ),
    CareKind.WEDDING: Words(
        ("结婚纪念日快乐", "Happy wedding anniversary"),
        (
            "今天是您的结婚纪念日，祝您二位恩爱长久，阖家幸福。",
            "Today is your wedding anniversary. We wish you both many more happy years together.",
        ),
    ),
    CareKind.WITH_BANK: Words(
        ("感谢您一路相伴", "Thank you for being with us"),
        (
            "今天是您与我们相识的纪念日，感谢您一直以来的信任与陪伴。",
            "On this day you first came to us. Thank you for your trust and your company ever since.",
        ),
    ),
    Festival.SPRING_FESTIVAL: Words(
        ("新春快乐", "Happy Chinese New Year"),
        (
            "值此新春佳节，祝您阖家团圆，万事如意。",
            "At the Spring Festival we wish you and your family a reunion full of joy and a good new year.",
        ),
    ),
    Festival.MID_AUTUMN: Words(
        ("中秋快乐", "Happy Mid-Autumn Festival"),
        ("月圆人团圆，祝您中秋安康。", "Under the full moon we wish you and those whom you love a happy festival."),
    ),
    Festival.NATIONAL_DAY: Words(
        ("国庆快乐", "Happy National Day"),
        ("祝您国庆节快乐，假期平安。", "We wish you a happy National Day and a peaceful holiday."),
    ),
    Festival.NEW_YEARS_EVE: Words(
        ("除夕安康", "A happy New Year's Eve"),
        (
            "辞旧迎新，祝您除夕之夜阖家团圆。",
            "As the old year ends we wish you a warm evening with your family.",
        ),
    ),
    Festival.LANTERN: Words(
        ("元宵节快乐", "Happy Lantern Festival"),
        ("花好月圆，祝您元宵节快乐。", "We wish you a bright and happy Lantern Festival."),
    ),
    # The festival remembers a death; one wishes health on it, and not happiness.
    Festival.DRAGON_BOAT: Words(
        ("端午安康", "Good health at the Dragon Boat Festival"),
        ("祝您端午安康，平安顺遂。", "We wish you and your family health and peace at the Dragon Boat Festival."),
    ),
    Festival.DOUBLE_NINTH: Words(
        ("重阳安康", "Good health at the Double Ninth Festival"),
        ("九九重阳，祝您和家中长辈健康长寿。", "We wish you and the elders of your family health and long life."),
    ),
    Festival.NEW_YEAR: Words(
        ("新年快乐", "Happy New Year"),
        ("新的一年，祝您平安喜乐。", "We wish you peace and joy in the new year."),
    ),
    Festival.WOMENS_DAY: Words(
        ("妇女节快乐", "Happy Women's Day"),
        ("祝您节日快乐，自在从容。", "We wish you a happy day, and ease in all the others."),
    ),
    Festival.LABOUR_DAY: Words(
        ("劳动节快乐", "Happy Labour Day"),
        ("祝您劳动节快乐，好好休息。", "We wish you a happy Labour Day and a good rest."),
    ),
}

WORDS: dict[str, Words] = {template_of(occasion): words for occasion, words in OCCASIONS.items()}
