"""What a customer is told who is seen by digital means: that somebody is there, and nothing of what is sold."""

from service.message_template import Words

FOLLOW_UP = "follow_up"

WORDS: dict[str, Words] = {
    FOLLOW_UP: Words(
        ("我们随时为您服务", "We are here for you"),
        (
            "{name}，您好！如有任何需要，请在应用中联系我们，我们随时为您服务。",
            "Dear {name}, if there is anything we can do for you, please write to us in the app.",
        ),
    ),
}
