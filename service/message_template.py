"""What a template of messages is: the words of a subject and a body, each in Chinese and English."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """Subject and body of a message, each as Chinese and English with placeholders in braces."""

    subject: tuple[str, str]
    body: tuple[str, str]
